document.querySelectorAll(".scores thead tr:last-child th").forEach(function (th, column) {
  th.addEventListener("click", function () {
    var down = th.getAttribute("aria-sort") !== "descending";
    th.parentNode.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    var body = th.closest("table").tBodies[0];
    var value = function (row) {
      var cell = row.cells[column];
      if (!cell || cell.classList.contains("failed")) { return null; }
      return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value);
    };
    Array.from(body.rows).sort(function (a, b) {
      var x = value(a), y = value(b);
      if (x === null || y === null) { return (x === null) - (y === null); }
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    }).forEach(function (row) { body.appendChild(row); });
  });
});
