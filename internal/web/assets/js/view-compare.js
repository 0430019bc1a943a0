// Compare: evaluations side by side.

import { h, set, show } from "./dom.js";
import { call } from "./api.js";
import { watch } from "./events.js";
import { count, num, percent, seconds, when, cut, oneLine } from "./format.js";

const most = 8; // evaluations at once

export function view(main, about, id, go, query) {
  const chosen = new Set((query.get("runs") || "").split(",").filter(Boolean).slice(0, most));
  const results = new Map(); // by id: the run with its result
  const note = h("p", { class: "empty" }, "…"), picks = h("tbody"), out = h("div", {});
  const table = h("table", { class: "list picks", hidden: true }, h("caption", { class: "sr" }, "Evaluations; choose two or more"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "sr" }, "compare")), ["task", "model", "state", "methods", "started"].map((t) => h("th", { scope: "col" }, t)))), picks);
  main.replaceChildren(h("div", { class: "page" }, h("h1", {}, "Compare"), h("section", { class: "panel" }, h("h2", {}, "Evaluations"), note, h("div", { class: "scroll short" }, table)), out));
  let listed = "", left = false;

  const draw = async () => {
    const ids = [...chosen];
    history.replaceState(null, "", "#/compare" + (ids.length ? "?runs=" + ids.map(encodeURIComponent).join(",") : ""));
    try {
      await Promise.all(ids.filter((i) => !results.has(i)).map(async (i) => results.set(i, await call("/api/runs/" + encodeURIComponent(i)))));
    } catch (e) {
      out.replaceChildren(h("p", { class: "wrong" }, e.message));
      return;
    }
    if (!left && ids.join() === [...chosen].join()) out.replaceChildren(comparison(ids.map((i) => results.get(i))));
  };
  const leave = watch("runs", (f) => {
    const evals = (f.runs || []).filter((r) => r.kind === "eval");
    const key = JSON.stringify(evals.map((r) => [r.id, r.state]));
    show(table, evals.length > 0);
    show(note, evals.length === 0);
    set(note, f.gone ? "Evaluations are shown to keys that see all alone." : f.error || "No evaluation has been run yet: orrery eval --task T --method M,M makes one.");
    if (key === listed) return;
    listed = key;
    // With nothing chosen the newest two are the likeliest to be compared.
    if (!chosen.size) for (const r of evals.filter((r) => r.state === "done").slice(0, 2)) chosen.add(r.id);
    picks.replaceChildren(...evals.map((r) => {
      const box = h("input", { type: "checkbox", checked: chosen.has(r.id), "aria-label": `Compare ${r.name}, started ${when(r.started)}`, onchange: () => {
        if (box.checked && chosen.size >= most) box.checked = false;
        else if (box.checked) chosen.add(r.id);
        else chosen.delete(r.id);
        draw();
      } });
      return h("tr", {}, h("td", { class: "box" }, box), h("td", {}, h("a", { href: "#/runs/" + encodeURIComponent(r.id) }, cut(oneLine(r.name), 60))), h("td", {}, r.model || ""), h("td", {}, r.state), h("td", { class: "wrap" }, r.method || Object.keys(r.metrics || {}).filter((k) => k.endsWith(" accuracy")).map((k) => k.slice(0, -9)).join(", ")), h("td", {}, when(r.started)));
    }));
    draw();
  });
  return () => {
    left = true;
    leave();
  };
}

// rowsOf are the results of an evaluation, whatever it compared.
function rowsOf(r) {
  const result = r.result || {};
  return (result.results || []).map((x) => ({ ...x, run: r.run, task: x.task || result.task, model: result.model, partial: result.partial }));
}

// comparison groups the results by task: each is a line with its interval, so that it
// can be seen which differences are more than chance.
function comparison(runs) {
  const rows = runs.flatMap(rowsOf).filter((x) => typeof x.accuracy === "number");
  if (!rows.length) return h("p", { class: "empty" }, runs.length ? "These evaluations have no accuracies to put side by side; open them for their reports." : "Choose two or more evaluations.");
  const tasks = [...new Set(rows.map((x) => x.task))];
  return h("div", {}, tasks.map((task) => {
    const mine = rows.filter((x) => x.task === task), tokens = Math.max(...mine.map((x) => x.tokens_mean || 0)), time = Math.max(...mine.map((x) => x.seconds_mean || 0));
    return h("section", { class: "panel" }, h("h2", {}, task), h("div", { class: "scroll" }, h("table", { class: "list results" }, h("caption", { class: "sr" }, "Results on " + task),
      h("thead", {}, h("tr", {}, ["method", "model", "accuracy", "95 % interval", "", "tokens a problem", "", "seconds", "", "answered", "run"].map((t, i) => h("th", { scope: "col", class: [2, 5, 7, 9].includes(i) ? "n" : null }, t)))),
      h("tbody", {}, mine.map((x) => h("tr", {},
        h("th", { scope: "row" }, x.method, x.partial ? h("span", { class: "soft" }, " (partial)") : null), h("td", {}, x.model || ""),
        h("td", { class: "n" }, percent(x.accuracy, 1)), h("td", { class: "c" + (runs.findIndex((r) => r.run.id === x.run.id) % 8) }, interval(x)), h("td", { class: "soft" }, `${num(100 * x.accuracy_low, 1)} – ${num(100 * x.accuracy_high, 1)}`),
        h("td", { class: "n" }, count(Math.round(x.tokens_mean))), h("td", {}, bar(x.tokens_mean, tokens)), h("td", { class: "n" }, seconds(x.seconds_mean)), h("td", {}, bar(x.seconds_mean, time)), h("td", { class: "n" }, `${count(x.answered)} of ${count(x.n)}`), h("td", {}, h("a", { href: "#/runs/" + encodeURIComponent(x.run.id) }, when(x.run.started)))))))),
      h("p", { class: "soft" }, "Intervals that overlap much may be chance; rows of different numbers of problems do not compare."));
  }));
}

// interval is an accuracy as a point with its whisker on the scale from 0 to 1.
function interval(x) {
  const w = 180, at = (v) => 6 + v * (w - 12);
  return h("svg", { width: w, height: 18, viewBox: `0 0 ${w} 18`, class: "interval", "aria-hidden": "true" },
    h("line", { x1: at(0), x2: at(1), y1: 9, y2: 9, class: "base" }), h("line", { x1: at(x.accuracy_low), x2: at(x.accuracy_high), y1: 9, y2: 9, class: "span" }), h("circle", { cx: at(x.accuracy), cy: 9, r: 4 }));
}

function bar(v, largest) {
  const i = h("i", {});
  i.style.width = largest > 0 ? Math.max(1, Math.round((80 * v) / largest)) + "px" : "0";
  return h("span", { class: "small-bar", "aria-hidden": "true" }, i);
}
