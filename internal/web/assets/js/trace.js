// One trace, opened: what it wrote, the curve of its group confidence, its facts, and
// what its hidden thoughts hold.

import { h, set, show, button } from "./dom.js";
import { Chart } from "./chart.js";
import { LongText } from "./text.js";
import { count, num, seconds, reason, why, percent } from "./format.js";

export class TracePanel {
  constructor(ask, n, close, texts) {
    this.ask = ask;
    this.n = n;
    this.version = -1;
    this.facts = h("dl", { class: "facts" });
    this.thoughts = h("ol", { class: "thoughts", hidden: true });
    this.chart = new Chart({
      label: "Group confidence by token", x: "scored tokens", height: 190, legend: false,
      series: [{ label: "group confidence", colour: "--s0" }],
      lines: () => (ask.threshold === null ? [] : [{ y: ask.threshold, label: "threshold " + num(ask.threshold), colour: "--s1" }]),
      marks: () => (this.trace && this.trace.head.state === "stopped" ? [{ x: this.trace.groups.length }] : []),
    });
    this.text = new LongText("Text of trace " + n);
    this.reasoning = new LongText("Hidden reasoning of trace " + n);
    this.hidden = h("details", { hidden: true, open: true }, h("summary", {}, "Reasoning"), this.reasoning.element);
    this.note = h("p", { class: "soft", hidden: true });
    this.title = h("h2", { tabindex: "-1" }, "Trace " + n);
    this.element = h("section", { class: "panel trace", "aria-label": "Trace " + n },
      h("div", { class: "panel-head" }, this.title, h("span", { class: "grow" }),
        button("‹", () => close(n - 1), { class: "quiet", "aria-label": "Previous trace" }),
        button("›", () => close(n + 1), { class: "quiet", "aria-label": "Next trace" }),
        button("Close", () => close(-1), { class: "quiet" })),
      this.facts, this.chart.element, this.thoughts, this.hidden, this.text.element, this.note);
    this.leave = texts(n, (f, whole) => this.frame(f, whole));
    this.update();
  }

  get trace() {
    return this.ask.traces[this.n];
  }

  frame(f, whole) {
    if (whole) {
      this.text.bytes = this.reasoning.bytes = 0;
      this.text.text = this.reasoning.text = "";
    }
    if (f.gone) return;
    this.text.growing = this.reasoning.growing = !!this.trace && this.trace.head.state === "running";
    if (f.reasoning) this.reasoning.add(f.reasoning_at, f.reasoning);
    if (f.text) this.text.add(f.text_at, f.text);
    show(this.hidden, this.reasoning.text !== "");
    if (f.thoughts) showThoughts(this.thoughts, f.thoughts);
    show(this.note, !!f.cut);
    if (f.cut) set(this.note, "The rest of this trace is not kept: there was no room for it.");
  }

  update() {
    const t = this.trace;
    if (!t || t.version === this.version) return;
    this.version = t.version;
    const d = t.head, rows = [["phase", d.phase === "warmup" ? "warm-up" : d.phase], ["state", reason(d.reason)], ["tokens", count(t.tokens)]];
    if (d.group !== undefined) rows.push(["decided", `group ${num(d.group, 4)} < threshold ${num(d.s, 4)}`]);
    if (d.answer !== undefined) rows.push(["answer", d.answer]);
    if (d.state !== "running") rows.push(["vote", d.excluded ? "no: it " + why(d.excluded) : d.votes ? "yes" + (d.weight !== undefined ? ", weight " + num(d.weight, 3) : "") : "open until the warm-up has ended"]);
    if (d.lowest !== undefined) rows.push(["lowest group", num(d.lowest, 4)]);
    if (d.mean !== undefined) rows.push(["mean", num(d.mean, 4)], ["bottom 10 %", num(d.bottom10, 4)], ["tail", num(d.tail, 4)]);
    rows.push(["seed", String(d.seed)]);
    if (d.retry_of !== undefined) rows.push(["retry of", "trace " + d.retry_of]);
    if (d.seconds) rows.push(["time", `${seconds(d.seconds)}, first token after ${seconds(d.first_token_seconds || 0)}`]);
    if (d.after_stop) rows.push(["after the stop", count(d.after_stop) + " tokens"]);
    if (d.error) rows.push(["error", d.error]);
    if (d.cut) rows.push(["note", "the run had cut it here: how it would have gone on is not known"]);
    const key = JSON.stringify(rows);
    if (key !== this.shown) {
      this.shown = key;
      this.facts.replaceChildren(...rows.map(([k, v]) => h("div", { class: String(v).length > 24 ? "long" : null }, h("dt", {}, k), h("dd", {}, v))));
    }
    const n = t.groups.length;
    show(this.chart.element, n > 1);
    if (n > 1) this.chart.set(thin(t.groups.values, 2000));
  }

  close() {
    this.leave();
    this.chart.close();
  }
}

// thin takes from each stretch its least and its greatest value, so that a curve of any
// length is drawn from few points and looks the same.
export function thin(values, most) {
  const n = values.length;
  if (n <= most) return [Float64Array.from({ length: n }, (_, i) => i + 1), values];
  const x = [], y = [], size = Math.ceil((2 * n) / most);
  for (let from = 0; from < n; from += size) {
    let low = from, high = from;
    for (let i = from; i < Math.min(n, from + size); i++) {
      if (values[i] < values[low]) low = i;
      if (values[i] > values[high]) high = i;
    }
    for (const i of low < high ? [low, high] : low > high ? [high, low] : [low]) {
      x.push(i + 1);
      y.push(values[i]);
    }
  }
  return [x, y];
}

// showThoughts lists what each hidden thought holds, as bars.
export function showThoughts(list, thoughts) {
  show(list, thoughts.length > 0);
  list.replaceChildren(...thoughts.map((t) =>
    h("li", {}, h("span", { class: "soft" }, "thought " + t.number), ...t.holds.filter((r, i) => i === 0 || r.p >= 0.01).slice(0, 6).map((r) => {
      const bar = h("i", { "aria-hidden": "true" });
      bar.style.width = Math.round(60 * r.p) + "px";
      return h("span", { class: "holds" }, h("b", {}, r.text), bar, percent(r.p));
    }), t.answers ? h("span", { class: "soft" }, "← the answer is read off here") : null)));
}
