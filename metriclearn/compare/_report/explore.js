(function () {
  "use strict";
  // Maps: a row is shown on all of them at once, and on request with what it finds.
  var data = JSON.parse(document.getElementById("explored").textContent);
  var pictures = new Set(data.pictures);
  var tip = document.querySelector(".tip"), near = document.querySelector(".near");
  var spoken = document.querySelector(".unseen");
  var REACH = 10;  // of a point, in units of the map

  function make(tag, text, css) {
    var element = document.createElement(tag);
    if (text !== undefined && text !== null) { element.textContent = text; }
    if (css) { element.className = css; }
    return element;
  }
  function broken(element, text) {
    // As in the tables of the page itself, a line may end behind what joins the words of a name.
    String(text).split(new RegExp(data.joints)).forEach(function (part, i) {
      if (i) { element.append(document.createElement("wbr")); }
      element.append(part);
    });
    return element;
  }
  function nameOf(place, label) { return "Row " + data.numbers[place] + ", " + data.classes[label]; }
  function picture(place, label) {
    var span = make("span", null, "photo p" + place);
    span.setAttribute("role", "img");
    span.setAttribute("aria-label", nameOf(place, label));
    return span;
  }

  document.querySelectorAll(".grid-maps").forEach(function (grid) {
    var about = data.protocols[grid.dataset.protocol];
    if (!about) { return; }
    var maps = Array.from(grid.querySelectorAll(".card")).map(function (card) {
      var svg = card.querySelector("svg.map");
      var points = [];
      svg.querySelectorAll("path.dots").forEach(function (path) {
        (path.getAttribute("d").match(/M[^M]+/g) || []).forEach(function (part) {
          points.push(part.slice(1).replace("h0", "").split(" ").map(Number));
        });
      });
      return { svg: svg, points: points, name: card.dataset.name, ring: null };
    }).filter(function (map) { return map.points.length === about.rows.length; });
    var chosen = about.pair.slice(), current = null;

    function mark(i, css) {
      maps.forEach(function (map) {
        if (!map.ring) {
          map.ring = document.createElementNS(map.svg.namespaceURI, "circle");
          map.ring.setAttribute("r", 7);
          map.svg.appendChild(map.ring);
        }
        map.ring.setAttribute("class", css);
        map.ring.setAttribute("cx", map.points[i][0]);
        map.ring.setAttribute("cy", map.points[i][1]);
      });
    }
    function point(map, i) {
      var place = about.rows[i], label = about.labels[i];
      current = i;
      mark(i, "ring");
      tip.replaceChildren(make("strong", nameOf(place, label)));
      if (pictures.has(place)) { tip.appendChild(picture(place, label)); }
      if (data.values[place]) {
        var list = make("dl");
        data.columns.forEach(function (column, c) {
          list.append(make("dt", column), make("dd", data.values[place][c]));
        });
        tip.appendChild(list);
      }
      var box = map.svg.getBoundingClientRect(), scale = box.width / map.svg.viewBox.baseVal.width;
      tip.hidden = false;
      var x = box.left + map.points[i][0] * scale, y = box.top + map.points[i][1] * scale;
      tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.max(4, y + 14 + tip.offsetHeight > innerHeight ? y - 14 - tip.offsetHeight : y + 14) + "px";
    }
    function unpoint() { tip.hidden = true; }

    function side(number, i) {
      var column = make("div"), label = make("label", "Metric "), select = make("select");
      about.metrics.forEach(function (metric) {
        var option = make("option", metric.name);
        option.value = metric.key;
        option.selected = metric.key === chosen[number];
        select.appendChild(option);
      });
      select.addEventListener("change", function () {
        chosen[number] = select.value;
        open(i);
        near.querySelectorAll("select")[number].focus();
      });
      label.appendChild(select);
      var metric = about.metrics.find(function (each) { return each.key === chosen[number]; });
      var scrolls = make("div", null, "scrolls"), table = make("table", null, "plain");
      scrolls.tabIndex = 0;
      scrolls.setAttribute("role", "region");
      scrolls.setAttribute("aria-label", "Nearest by " + metric.name);
      var head = table.createTHead().insertRow(), body = table.createTBody();
      var withPictures = data.pictures.length > 0;
      ["Class", "Row"].concat(withPictures ? ["Picture"] : [], data.columns).forEach(function (name, c) {
        var th = broken(make("th", null, c === 0 ? "words" : ""), name);
        th.scope = "col";
        head.appendChild(th);
      });
      function row(place, code, right) {
        var tr = body.insertRow();
        if (right !== null) { tr.className = right ? "is-right" : "is-wrong"; }
        var th = make("th");
        th.scope = "row";
        th.append(make("span", right === null ? "" : right ? "✓ " : "✗ ", "mark"), broken(make("bdi"), data.classes[code]));
        tr.append(th, make("td", data.numbers[place]));
        if (withPictures) {
          var td = make("td");
          if (pictures.has(place)) { td.appendChild(picture(place, code)); }
          tr.appendChild(td);
        }
        data.columns.forEach(function (_, c) { tr.appendChild(make("td", data.values[place] ? data.values[place][c] : "–")); });
      }
      row(about.rows[i], about.labels[i], null);
      metric.nearest[i].forEach(function (place, n) {
        row(place, metric.classes[i][n], metric.classes[i][n] === about.labels[i]);
      });
      scrolls.appendChild(table);
      column.append(label, scrolls);
      return column;
    }
    function open(i) {
      var inner = make("div"), sides = make("div", null, "sides"), close = make("button", "Close", "close");
      close.type = "button";
      close.addEventListener("click", shut);
      var title = make("h2", nameOf(about.rows[i], about.labels[i]) + ", and the rows nearest to it");
      title.tabIndex = -1;
      sides.append(side(0, i), side(1, i));
      inner.append(close, title, sides);
      near.replaceChildren(inner);
      near.hidden = false;
      near.shut = shut;
      mark(i, "ring chosen");
      unpoint();
      title.focus({ preventScroll: true });
      // The map stays in sight above what is shown of its row.
      var box = from.getBoundingClientRect(), top = near.getBoundingClientRect().top;
      if (box.bottom > top) { scrollBy(0, Math.max(0, Math.min(box.bottom - top + 16, box.top - 8))); }
    }
    var from = null;
    function shut() {
      near.hidden = true;
      if (from) { from.focus({ preventScroll: true }); }
    }
    function at(map, event) {
      var box = map.svg.getBoundingClientRect(), scale = box.width / map.svg.viewBox.baseVal.width;
      var x = (event.clientX - box.left) / scale, y = (event.clientY - box.top) / scale;
      var best = null, least = REACH * REACH;
      map.points.forEach(function (p, i) {
        var d = (p[0] - x) * (p[0] - x) + (p[1] - y) * (p[1] - y);
        if (d < least) { least = d; best = i; }
      });
      return best;
    }
    function next(map, dx, dy) {
      // The nearest row in a direction: what is off to the side counts double.
      var here = map.points[current], best = null, least = Infinity;
      map.points.forEach(function (p, i) {
        var ahead = (p[0] - here[0]) * dx + (p[1] - here[1]) * dy;
        var aside = Math.abs((p[0] - here[0]) * dy) + Math.abs((p[1] - here[1]) * dx);
        if (i !== current && ahead > 0 && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = i; }
      });
      return best;
    }
    var steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    maps.forEach(function (map) {
      map.svg.setAttribute("tabindex", "0");
      map.svg.setAttribute("role", "application");
      map.svg.setAttribute("aria-label", "Map of " + map.name + ": arrow keys move between rows, Enter shows what a row finds");
      map.svg.addEventListener("pointermove", function (event) {
        var i = at(map, event);
        if (i === null) { unpoint(); } else { point(map, i); }
      });
      map.svg.addEventListener("pointerleave", unpoint);
      map.svg.addEventListener("blur", unpoint);
      map.svg.addEventListener("click", function (event) {
        var i = at(map, event);
        if (i !== null) { from = map.svg; current = i; open(i); }
      });
      map.svg.addEventListener("keydown", function (event) {
        if (event.key === "Enter" || event.key === " ") {
          if (current !== null) { from = map.svg; open(current); }
        } else if (steps[event.key]) {
          var i = current === null ? 0 : next(map, steps[event.key][0], steps[event.key][1]);
          if (i !== null) {
            point(map, i);
            spoken.textContent = nameOf(about.rows[i], about.labels[i]);
          }
        } else { return; }
        event.preventDefault();
      });
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") {
      tip.hidden = true;
      if (!near.hidden) { near.shut(); }
    }
  });
}());
