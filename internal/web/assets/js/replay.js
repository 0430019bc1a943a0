// What other settings would have made of a recorded request: decided by the server on
// the recorded confidences, shown beside what happened.

import { h, set, show, button } from "./dom.js";
import { call } from "./api.js";
import { Ask } from "./model.js";
import { Strips } from "./strips.js";
import { count, num, percent, cut, oneLine, reason } from "./format.js";

const fields = [
  { name: "eta", label: "η", unit: "% kept", min: 0.1, max: 100 },
  { name: "window", label: "window", unit: "tokens", text: true },
  { name: "threshold", label: "threshold", min: 0 },
  { name: "warmup", label: "warm-up", unit: "traces", min: 1 },
  { name: "tau", label: "τ", min: 0.01, max: 1 },
  { name: "budget", label: "budget", unit: "traces", min: 1 },
  { name: "min_votes", label: "least votes", min: 1 },
];

export class ReplayPanel {
  constructor(at, run, ask, view) {
    this.at = at;
    this.ask = ask; // as it ran
    this.view = view;
    this.inputs = new Map();
    const own = run.resolved;
    const controls = fields.map((f) => {
      const v = f.name === "window" && own.window === "auto" ? "auto" : own[f.name];
      const input = h("input", { type: f.text ? "text" : "number", min: f.min, max: f.max, step: "any", id: "r-" + f.name, placeholder: v ? String(v) : f.name === "threshold" ? "found" : f.name === "budget" ? "all" : "" });
      this.inputs.set(f.name, { input, text: f.text });
      return h("label", { class: "field" }, f.label, input, f.unit ? h("span", { class: "soft" }, f.unit) : null);
    });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.result = h("div", { hidden: true });
    this.go = h("button", { type: "submit", class: "primary" }, "Replay");
    this.element = h("section", { class: "panel replay", "aria-label": "Replay" },
      h("form", { class: "row", onsubmit: (e) => { e.preventDefault(); this.run(); } }, h("h2", {}, "Replay with other settings"), controls, this.go, button("Clear", () => this.clear(), { class: "quiet" })),
      h("p", { class: "soft" }, "Decides again, one trace after the other, on the confidences that were recorded. Fields left empty are as the request had them."), this.wrong, this.result);
    if (!ask.traces.some((t) => t.groups.length)) {
      this.go.disabled = true;
      set(this.wrong, "Its confidences were not measured, or not kept, so there is nothing to decide on.");
    }
  }

  clear() {
    for (const { input } of this.inputs.values()) input.value = "";
    show(this.result, false);
    set(this.wrong, "");
    this.close();
  }

  async run() {
    const body = {};
    for (const [name, { input, text }] of this.inputs) {
      const v = input.value.trim();
      if (v) body[name] = text && !/^[0-9]+$/.test(v) ? v : Number(v);
    }
    set(this.wrong, "");
    this.go.disabled = true;
    try {
      this.show(await call(this.at + "/replay", { body }));
    } catch (e) {
      set(this.wrong, e.message);
    }
    this.go.disabled = false;
  }

  show(r) {
    this.close();
    const then = this.ask, now = new Ask();
    now.apply(r.shown, true);
    then.range.update();
    this.strips = new Strips((n) => this.view.open(n));
    this.strips.range = then.range;
    this.strips.least = this.view.strips.xmax;
    this.before = new Strips((n) => this.view.open(n));
    this.before.range = then.range;
    this.before.least = this.view.strips.xmax;
    this.tie(this.before.scroller, this.strips.scroller);
    this.result.replaceChildren(this.numbers(then, now, r),
      h("div", { class: "pair" }, h("div", {}, h("h3", {}, "As it ran"), this.before.element), h("div", {}, h("h3", {}, "Replayed"), this.strips.element)), this.changes(then, now));
    show(this.result, true);
    this.before.show(then);
    this.before.update();
    this.strips.show(now);
    this.strips.update();
    show(this.view.stripsPanel, false);
  }

  // tie keeps two lists at the same place.
  tie(a, b) {
    for (const [x, y] of [[a, b], [b, a]]) x.addEventListener("scroll", () => { if (y.scrollTop !== x.scrollTop) y.scrollTop = x.scrollTop; }, { passive: true });
  }

  numbers(then, now, r) {
    const a = then.head.result || {}, b = now.head.result, n = then.tally(), m = now.tally();
    const launched = now.traces.filter((t) => t.head.state !== "absent").length;
    const full = (x, used) => (x === null || x === undefined ? "–" : `${count(Math.round(x))} (${percent(x / Math.max(1, x + used))})`);
    const rows = [
      ["answer", a.answer, b.answer, (v) => (v === null || v === undefined ? "none" : cut(oneLine(v), 60))],
      ["threshold", then.threshold, b.s, (v) => num(v, 4)],
      ["window", then.window, b.window, String],
      ["traces launched", then.traces.length, launched, count],
      ["stopped for low confidence", n.stopped, m.stopped, count],
      ["tokens", then.used, now.used, count],
      ["agreement", a.beta, b.beta, (v) => percent(v, 1)],
      ["ended by", a.stopped_by, b.stopped_by, (v) => (v || "–").replaceAll("_", " ")],
    ];
    const line = (name, i) => h("tr", {}, h("th", { scope: "row" }, name), rows.map(([, v, w, f]) => {
      const x = f(v), y = f(w);
      return h("td", { class: i && x !== y ? "changed" : null }, i ? y : x, i && x !== y ? h("span", { class: "sr" }, " (changed)") : null);
    }));
    const table = h("div", { class: "scroll" }, h("table", { class: "list compare" }, h("caption", { class: "sr" }, "As it ran, and replayed"),
      h("thead", {}, h("tr", {}, h("td"), rows.map(([name]) => h("th", { scope: "col" }, name)))), h("tbody", {}, line("as it ran", 0), line("replayed", 1))));
    const delta = now.used - then.used;
    const words = `${delta === 0 ? "The same number of tokens" : `${count(Math.abs(delta))} tokens ${delta < 0 ? "fewer" : "more"} (${percent(Math.abs(delta) / Math.max(1, then.used), 1)})`}, and ${a.answer === b.answer ? "the same answer" : "another answer"}. Of the tokens recorded, ${full(r.online.tokens_saved, r.online.tokens_used)} would not have been needed.`;
    return h("div", {}, h("p", { class: "verdict" }, words), table);
  }

  // changes lists the traces that were decided otherwise.
  changes(then, now) {
    const outcome = (t) => {
      const d = t.head;
      if (d.state === "absent") return "not launched";
      if (d.state === "stopped") return `${reason(d.reason).replace("stopped: ", "")} at ${count(t.tokens)}`;
      return `${count(t.tokens)} tokens, ${d.votes ? "votes " + cut(oneLine(d.answer ?? "–"), 30) : "does not vote"}${d.cut ? " (cut by the run)" : ""}`;
    };
    const rows = [];
    for (let i = 0; i < now.traces.length; i++) {
      const a = then.traces[i], b = now.traces[i];
      if (!a || outcome(a) === outcome(b)) continue;
      rows.push(h("tr", {}, h("th", { scope: "row" }, String(i)), h("td", {}, outcome(a)), h("td", {}, outcome(b))));
    }
    if (!rows.length) return h("p", { class: "soft" }, "No trace would have been decided otherwise.");
    return h("details", {}, h("summary", {}, `${count(rows.length)} of ${count(now.traces.length)} traces would have been decided otherwise`),
      h("div", { class: "scroll" }, h("table", { class: "list" }, h("thead", {}, h("tr", {}, ["trace", "as it ran", "replayed"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows))));
  }

  close() {
    for (const s of [this.strips, this.before]) if (s) s.close();
    this.strips = this.before = null;
    show(this.view.stripsPanel, true);
  }
}
