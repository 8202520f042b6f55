(function () {
  "use strict";
  document.documentElement.classList.add("js");

  // Tables: a column's name is a button that sorts by it.
  function valueOf(row, column) {
    var cell = row.cells[column];
    if (!cell || cell.classList.contains("failed")) { return null; }
    return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value);
  }
  function sortBy(th, column) {
    var down = th.getAttribute("aria-sort") !== "descending";
    th.parentNode.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    var body = th.closest("table").tBodies[0];
    Array.from(body.rows).sort(function (a, b) {
      var x = valueOf(a, column), y = valueOf(b, column);
      if (x === null || y === null) { return (x === null) - (y === null); }
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    }).forEach(function (row) { body.appendChild(row); });
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("thead tr:last-child th").forEach(function (th, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.append.apply(button, Array.from(th.childNodes));
      button.addEventListener("click", function () { sortBy(th, column); });
      th.appendChild(button);
    });
  });
}());
