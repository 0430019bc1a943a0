// The curves of a run: a chart for each kind of number, all over the same steps.

import { h, set, show } from "./dom.js";
import { Chart } from "./chart.js";

const colours = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7"];
const first = ["loss", "accuracy", "reward"]; // charts that come before the others

export class Curves {
  constructor() {
    this.curves = new Map();
    this.charts = new Map(); // by kind
    this.logX = h("input", { type: "checkbox", onchange: () => this.rebuild() });
    this.grid = h("div", { class: "charts" });
    this.rest = h("div", { class: "charts" });
    this.more = h("details", { hidden: true }, h("summary", {}), this.rest);
    this.element = h("section", { class: "panel", "aria-label": "Curves", hidden: true },
      h("div", { class: "panel-head" }, h("h2", {}, "Curves"), h("span", { class: "grow" }), h("label", { class: "check" }, this.logX, "logarithmic steps")), this.grid, this.more);
    this.axis = "";
    this.chose = false;
  }

  apply(f, whole) {
    if (whole) this.curves.clear();
    if (f.axis && f.axis !== this.axis) {
      this.axis = f.axis;
      if (!this.chose) this.logX.checked = f.axis === "epoch"; // grokking is seen over powers of ten
      this.chose = true;
    }
    const touched = new Set();
    for (const [name, part] of Object.entries(f.curves || {})) {
      let c = this.curves.get(name);
      if (!c) this.curves.set(name, (c = { x: [], y: [] }));
      if (part.at > c.x.length) continue;
      c.x.length = c.y.length = part.at;
      for (let i = 0; i < part.x.length; i++) {
        c.x.push(part.x[i]);
        c.y.push(part.y[i]);
      }
      touched.add(kindOf(name));
    }
    show(this.element, this.curves.size > 0);
    for (const kind of touched) this.draw(kind);
  }

  // draw makes or changes the chart of a kind.
  draw(kind) {
    const names = [...this.curves.keys()].filter((n) => kindOf(n) === kind).sort().slice(0, colours.length);
    let chart = this.charts.get(kind);
    if (!chart || chart.names.join() !== names.join() || chart.log !== this.logX.checked) {
      if (chart) this.drop(chart);
      chart = this.make(kind, names);
      this.charts.set(kind, chart);
      this.sort();
    }
    chart.chart.set(merged(names.map((n) => this.curves.get(n)), chart.log));
  }

  make(kind, names) {
    const plain = names.map((n) => (n === kind ? kind : n.slice(0, -kind.length - 1)));
    const chart = new Chart({
      label: kind + " by " + this.axis, height: 210, legend: names.length > 1, logX: this.logX.checked, x: this.axis, sync: "run",
      series: plain.map((label, i) => ({ label, colour: colours[i] })),
      zero: /accuracy|answered|share|truncated/.test(kind),
    });
    return { names, chart, kind, log: this.logX.checked, element: h("figure", {}, h("figcaption", {}, kind.replaceAll("_", " ")), chart.element) };
  }

  sort() {
    const rank = (k) => (first.includes(k) ? first.indexOf(k) : first.length);
    const all = [...this.charts.values()].sort((a, b) => rank(a.kind) - rank(b.kind) || (a.kind < b.kind ? -1 : 1));
    const main = all.filter((c) => first.includes(c.kind)), rest = all.filter((c) => !first.includes(c.kind));
    // A run without any of those has nothing better than what it has.
    this.grid.replaceChildren(...(main.length ? main : rest).map((c) => c.element));
    this.rest.replaceChildren(...(main.length ? rest : []).map((c) => c.element));
    show(this.more, main.length > 0 && rest.length > 0);
    set(this.more.firstChild, rest.length === 1 ? "One more curve" : rest.length + " more curves");
  }

  drop(chart) {
    chart.chart.close();
    chart.element.remove();
  }

  rebuild() {
    for (const kind of this.charts.keys()) this.draw(kind);
  }

  close() {
    for (const c of this.charts.values()) c.chart.close();
  }
}

// kindOf is the last part of a name such as train.loss.
const kindOf = (name) => name.slice(name.lastIndexOf(".") + 1);

// merged puts curves over all of their steps, with null where one has no value.
function merged(curves, log) {
  const xs = [...new Set(curves.flatMap((c) => c.x))].filter((x) => !log || x > 0).sort((a, b) => a - b), at = new Map(xs.map((x, i) => [x, i]));
  return [xs, ...curves.map((c) => {
    const y = new Array(xs.length).fill(null);
    c.x.forEach((x, i) => {
      if (at.has(x)) y[at.get(x)] = c.y[i];
    });
    return y;
  })];
}
