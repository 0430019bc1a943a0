// The winning text. When it is known token by token, each shows its alternatives to the
// pointer and to the keyboard; how unlikely a token was is its shade.

import { h, set, show } from "./dom.js";
import { LongText } from "./text.js";
import { percent } from "./format.js";

const mostTokens = 6000; // that become elements
const mostText = 120000; // characters; a longer text is shown by its ends, without tokens

export class Winner {
  // load is a promise of the winning text's pieces.
  constructor(load) {
    this.load = load;
    this.title = h("h2", {}, "Answer");
    this.answer = h("p", { class: "answer" });
    this.text = new LongText("Text of the winning trace");
    this.tokens = h("div", { class: "tokens", hidden: true, tabindex: "0", role: "group", "aria-label": "Winning text by token; arrow keys move between tokens", "aria-describedby": "token-alternatives" });
    this.tip = h("div", { class: "tip wide", id: "token-alternatives", role: "status", hidden: true });
    this.note = h("p", { class: "soft" });
    this.element = h("section", { class: "panel winner", "aria-label": "Answer" }, this.title, this.answer, this.note, this.tokens, this.text.element, this.tip);
    this.pieces = [];
    this.spans = [];
    this.at = -1;
    this.tokens.addEventListener("pointerover", (e) => {
      const i = this.spans.indexOf(e.target);
      if (i >= 0) this.point(i);
    });
    this.tokens.addEventListener("pointerleave", () => this.point(-1));
    this.tokens.addEventListener("blur", () => this.point(-1));
    this.tokens.addEventListener("focus", () => this.point(Math.max(0, this.at)));
    this.tokens.addEventListener("keydown", (e) => {
      const to = { ArrowRight: this.at + 1, ArrowLeft: this.at - 1, Home: 0, End: this.spans.length - 1 }[e.key];
      if (e.key === "Escape") this.point(-1);
      if (to === undefined) return;
      e.preventDefault();
      this.point(Math.max(0, Math.min(this.spans.length - 1, to)));
    });
  }

  update(ask) {
    const head = ask.head, r = head && head.result;
    if (!r) {
      const leader = ask.vote && ask.vote.leader;
      set(this.answer, leader || "");
      set(this.note, ask.running ? (leader ? "leads so far" : "no answer yet") : head && head.error ? head.error : "no answer");
      show(this.text.element, false);
      return;
    }
    if (this.done === head.id) return;
    this.done = head.id;
    set(this.answer, r.answer === null || r.answer === r.text ? "" : r.answer);
    set(this.note, r.winner === null ? "" : `from trace ${r.winner}`);
    this.text.set((r.reasoning ? r.reasoning + "\n" : "") + (r.text || ""));
    show(this.text.element, this.text.text !== "");
    if (r.tokens_kept && this.load) {
      this.load().then((t) => this.pieced(t.pieces), () => {}); // the text is there without
    }
  }

  pieced(pieces) {
    if (!pieces.length || pieces.reduce((n, p) => n + p.t.length, 0) > mostText) return;
    this.pieces = [];
    this.spans = [];
    const all = [];
    for (const p of pieces) {
      if (!p.a || this.spans.length >= mostTokens) {
        all.push(document.createTextNode(p.t));
        continue;
      }
      const e = h("span", { class: "k" + level(p.p) }, p.t);
      this.pieces.push(p);
      this.spans.push(e);
      all.push(e);
    }
    this.tokens.replaceChildren(...all);
    show(this.tokens, true);
    show(this.text.element, false);
    set(this.note, (this.note.textContent ? this.note.textContent + "; " : "") + "darker tokens were less likely: point at one, or use the arrow keys, for its alternatives");
  }

  point(i) {
    if (this.spans[this.at]) this.spans[this.at].classList.remove("at");
    if (i >= 0) this.at = i;
    const span = this.spans[i];
    this.tip.hidden = !span;
    if (!span) return;
    span.classList.add("at");
    const p = this.pieces[i];
    this.tip.replaceChildren(h("table", { class: "alternatives" }, h("tbody", {}, p.a.map((a) => {
      const bar = h("i", { "aria-hidden": "true" });
      bar.style.width = Math.round(80 * Math.exp(a.p)) + "px";
      return h("tr", { class: a.c ? "chosen" : null }, h("td", {}, visible(a.t)), h("td", {}, percent(Math.exp(a.p), 1)), h("td", {}, bar, a.c ? h("span", { class: "sr" }, "chosen") : null));
    }))));
    if (document.activeElement === this.tokens) span.scrollIntoView({ block: "nearest" });
    const box = span.getBoundingClientRect(), w = this.tip.offsetWidth, tall = this.tip.offsetHeight;
    this.tip.style.left = Math.max(8, Math.min(box.left, innerWidth - w - 8)) + "px";
    this.tip.style.top = (box.bottom + tall + 8 < innerHeight ? box.bottom + 4 : box.top - tall - 4) + "px";
  }
}

// level is how unlikely a token was, 0 to 4.
function level(logprob) {
  const p = Math.exp(logprob);
  return p > 0.9 ? 0 : p > 0.6 ? 1 : p > 0.3 ? 2 : p > 0.1 ? 3 : 4;
}

// visible shows the blanks of a token.
const visible = (t) => t.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
