// One request: its numbers, strips, vote and answer, and the trace that is open. Live
// requests and recorded ones look the same; where texts come from is given.

import { h, set, show, button, say, typing } from "./dom.js";
import { Strips } from "./strips.js";
import { Votes } from "./votes.js";
import { Winner } from "./winner.js";
import { TracePanel, showThoughts } from "./trace.js";
import { count, num, percent, seconds, cut, oneLine } from "./format.js";

const names = ["answer", "traces", "tokens", "saved", "threshold", "agreement", "time"];

export class RunView {
  // from has texts(n, frame), which calls frame with a trace's text and returns how to
  // stop; tokens(), a promise of the winning text's pieces; and for live requests
  // stop() and again().
  constructor(ask, from) {
    this.ask = ask;
    this.from = from;
    this.panel = null;
    this.question = h("p", { class: "question" });
    this.state = h("span", { class: "chip" });
    this.stop = button("Stop", () => from.stop().catch((e) => set(this.error, e.message)), { class: "danger", id: "stop", hidden: true, title: "Stop (s)" });
    this.again = button("Ask again", () => from.again(), { class: "quiet", hidden: true });
    this.error = h("p", { class: "wrong", role: "alert" });
    this.metrics = h("dl", { class: "metrics" });
    this.cells = new Map();
    for (const name of names) {
      const dd = h("dd", {}, "–");
      this.cells.set(name, dd);
      this.metrics.append(h("div", { class: "m-" + name }, h("dt", {}, name), dd));
    }
    this.warnings = h("ul", { class: "warnings", hidden: true });
    this.strips = new Strips((n) => this.open(n));
    this.votes = new Votes();
    this.winner = new Winner(from.tokens);
    this.thoughts = h("section", { class: "panel", hidden: true }, h("h2", {}, "Hidden thoughts"), h("p", { class: "soft" }, "What each would be, were it read as a word."), h("ol", { class: "thoughts" }));
    this.side = h("div", { class: "side" }, this.votes.element);
    this.extra = h("div", {}); // of whoever shows this
    this.stripsPanel = h("section", { class: "panel", "aria-label": "Traces" }, this.strips.element);
    this.element = h("article", { class: "run" },
      h("header", { class: "run-head" }, this.question, this.state, this.stop, this.again), this.error, this.warnings, this.metrics, this.extra,
      h("div", { class: "columns" }, h("div", { class: "main-column" }, this.stripsPanel, this.thoughts, this.winner.element), this.side));
    this.strips.show(ask);
    this.keys = (e) => {
      if (typing(e)) return;
      if (e.key === "s" && !this.stop.hidden) this.stop.click();
      if (e.key === "Escape" && this.panel) this.open(-1);
    };
    document.addEventListener("keydown", this.keys);
  }

  // open shows a trace beside the strips, or none.
  open(n) {
    if (this.panel) {
      this.panel.close();
      this.panel.element.remove();
    }
    this.panel = null;
    this.strips.select(-1);
    if (n < 0 || n >= this.ask.traces.length) {
      this.strips.scroller.focus({ preventScroll: true });
      return;
    }
    this.place(n);
    this.panel.title.focus({ preventScroll: innerWidth > 1000 });
    if (innerWidth <= 1000) this.panel.element.scrollIntoView({ block: "start" });
  }

  place(n) {
    this.panel = new TracePanel(this.ask, n, (m) => this.open(m), this.from.texts);
    this.side.prepend(this.panel.element);
    this.side.scrollTop = 0;
    this.strips.select(n);
  }

  update() {
    const ask = this.ask, head = ask.head;
    if (!head) return;
    const one = head.method === "single" || head.method === "coconut";
    this.element.classList.toggle("one", one);
    // The text of a single trace is what there is to see.
    if (one && !this.placed && ask.traces.length === 1) {
      this.placed = true;
      this.place(0);
    }
    show(this.winner.element, !one || !ask.running);
    for (const name of ["saved", "threshold", "agreement"]) show(this.cells.get(name).parentNode, !one);
    set(this.question, cut(head.question, 1200));
    set(this.state, head.state);
    this.state.dataset.state = head.state;
    show(this.stop, ask.running && head.mine);
    show(this.again, !ask.running && !!this.from.again);
    set(this.error, head.error && head.state !== "stopped" ? head.error : "");
    this.numbers();
    show(this.warnings, ask.warnings.length > 0);
    if (this.warnings.childNodes.length !== ask.warnings.length) this.warnings.replaceChildren(...ask.warnings.map((w) => h("li", {}, w.message || w.code)));
    this.strips.update();
    this.votes.update(ask);
    this.winner.update(ask);
    if (this.panel) this.panel.update();
    show(this.votes.element, ask.traces.length > 1);
    this.latent();
  }

  numbers() {
    const ask = this.ask, head = ask.head, cells = this.cells, n = ask.tally(), r = head.result;
    const done = ask.traces.length - n.running, budget = head.started ? head.started.budget : 0;
    const leader = r ? r.answer : ask.vote && ask.vote.leader;
    set(cells.get("answer"), leader === null || leader === undefined ? "–" : cut(oneLine(leader), 60));
    set(cells.get("traces"), [`${done}${budget ? " of " + budget : ""}`, n.running && `${n.running} running`, n.stopped && `${n.stopped} stopped early`, n.cut && `${n.cut} cut`, n.failed && `${n.failed} failed`].filter(Boolean).join(", "));
    set(cells.get("tokens"), count(ask.used));
    const s = ask.saved;
    set(cells.get("saved"), s === null || s === undefined ? "–" : `≈ ${count(Math.round(s))}` + (s > 0 ? ` (${percent(s / (s + ask.used))})` : ""));
    const measured = head.started && head.started.k > 0;
    set(cells.get("threshold"), ask.threshold !== null ? num(ask.threshold) + (head.calibrated ? `, from ${head.calibrated.n} traces` : "") : measured ? (head.started.warmup && ask.running ? "after the warm-up" : "none") : "not measured");
    set(cells.get("agreement"), percent(r ? r.beta : ask.vote && ask.vote.beta, 1));
    this.time();
    const now = head.state + (ask.running ? `, ${done} traces have ended` : "");
    if (now !== this.said) say(ask.running ? now : `The request is ${head.state}. ` + (leader ? "Answer: " + cut(oneLine(leader), 80) : ""));
    this.said = now;
  }

  time() {
    const head = this.ask.head;
    if (head) set(this.cells.get("time"), seconds(head.result && head.result.seconds ? head.result.seconds : (Date.parse(head.ended || new Date().toISOString()) - Date.parse(head.time)) / 1000));
  }

  // latent shows the thoughts of a single trace: they are the thing to see.
  latent() {
    const t = this.ask.traces[0];
    if (!t || !t.head.thoughts || this.leaveThoughts) return;
    show(this.thoughts, true);
    this.leaveThoughts = this.from.texts(0, (f) => f.thoughts && showThoughts(this.thoughts.lastChild, f.thoughts));
  }

  close() {
    document.removeEventListener("keydown", this.keys);
    if (this.leaveThoughts) this.leaveThoughts();
    if (this.panel) this.panel.close();
    this.strips.close();
    this.votes.close();
  }
}
