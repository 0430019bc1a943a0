package report

import (
	"crypto/sha256"
	"encoding/base64"
)

// script works sliders and paged tables. It is the only script that a page may
// run: the policy in the head names its hash. It makes text nodes alone, so that
// what a cell says stays text.
const script = `"use strict";
for (const box of document.querySelectorAll(".slider")) {
  const frames = box.querySelectorAll(":scope > .frame"), [control, input, name] =
    [box.querySelector(".control"), box.querySelector("input"), box.querySelector("output")];
  if (frames.length < 2) continue;
  const show = () => {
    frames.forEach((f, i) => f.classList.toggle("away", i != input.value));
    name.textContent = frames[input.value].querySelector("h3").textContent;
    input.setAttribute("aria-valuetext", name.textContent);
  };
  control.hidden = false;
  box.classList.add("moved"); // the control says what the frames' headings say
  input.addEventListener("input", show);
  show();
}
for (const box of document.querySelectorAll(".paged")) {
  const size = +box.dataset.page, body = box.querySelector("tbody"), [back, next] = box.querySelectorAll("button"),
    filter = box.querySelector("input"), place = box.querySelector("output"), heads = [...box.querySelectorAll("th")];
  let lines = null, low = null, order = null, page = 0, by = -1, down = true;
  const load = () => {
    if (lines) return;
    lines = box.querySelector("pre").textContent.split("\n").slice(1);
    low = lines.map(l => l.toLowerCase());
    order = lines.map((_, i) => i);
  };
  const key = s => {
    const n = parseFloat(s.replace(/^[±≤≥<>≈ +]+/, "").replace(/^−/, "-"));
    return isNaN(n) ? null : n;
  };
  const draw = () => {
    const pages = Math.max(1, Math.ceil(order.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(...order.slice(page * size, (page + 1) * size).map(i => {
      const row = document.createElement("tr");
      for (const c of lines[i].split("\t")) {
        const cell = row.insertCell();
        cell.textContent = c;
        if (/^(–$|[-+−±≤≥<>≈ ]*[0-9])/.test(c)) cell.className = "n";
      }
      return row;
    }));
    tell(order.length, pages);
  };
  const tell = (n, pages) => {
    place.textContent = n ? "rows " + (page * size + 1) + "–" + Math.min(n, (page + 1) * size) + " of " + n : "no row has this";
    back.disabled = page == 0;
    next.disabled = page >= pages - 1;
  };
  const sort = () => {
    load();
    const want = filter.value.toLowerCase();
    order = [];
    low.forEach((l, i) => { if (l.includes(want)) order.push(i); });
    if (by >= 0) {
      const cells = new Map(order.map(i => [i, lines[i].split("\t")[by] || ""]));
      const keys = new Map(order.map(i => [i, key(cells.get(i))]));
      order.sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        if (x === null || y === null) return x === y ? cells.get(a).localeCompare(cells.get(b)) || a - b : x === null ? 1 : -1;
        return (down ? y - x : x - y) || a - b;
      });
    }
    page = 0;
    draw();
  };
  box.querySelector(".control").hidden = false;
  const total = +box.dataset.rows;
  tell(total, Math.ceil(total / size));
  filter.addEventListener("input", sort);
  back.addEventListener("click", () => { load(); page--; draw(); });
  next.addEventListener("click", () => { load(); page++; draw(); });
  heads.forEach((h, i) => {
    const b = document.createElement("button");
    b.type = "button";
    b.title = "sort by " + h.textContent;
    b.append(...h.childNodes);
    h.append(b);
    b.addEventListener("click", () => {
      down = by == i ? !down : true;
      by = i;
      heads.forEach(o => o.removeAttribute("aria-sort"));
      h.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort();
    });
  });
}
`

// policy is the page's Content-Security-Policy: nothing from anywhere, our style,
// and what the blocks need of embedded pictures and of our one script.
func (w *writer) policy() string {
	p := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'"
	if w.pictures {
		p += "; img-src data:"
	}
	if w.scripted {
		sum := sha256.Sum256([]byte(script))
		p += "; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return p
}
