// The vote: a bar an answer, and how the leader's share moved as tokens were spent.

import { h, set } from "./dom.js";
import { num, percent, cut, oneLine, count } from "./format.js";

export class Votes {
  constructor() {
    this.rows = new Map(); // by answer
    this.list = h("ol", { class: "bars" });
    this.note = h("p", { class: "soft" });
    this.element = h("section", { class: "panel", "aria-label": "Vote" }, h("h2", {}, "Vote"), this.list, this.note);
  }

  update(ask) {
    const v = ask.vote, result = ask.head && ask.head.result;
    let classes = v ? v.classes || [] : [];
    let others = v ? v.others || 0 : 0;
    if (result) { // the last word: the filter of an offline method comes after all votes
      classes = result.votes.slice(0, 12);
      others = result.votes.slice(12).reduce((sum, c) => sum + c.weight, 0);
    }
    const total = classes.reduce((sum, c) => sum + c.weight, 0) + others, seen = new Set();
    classes.forEach((c, i) => {
      let row = this.rows.get(c.answer);
      if (!row) {
        row = newRow(c.answer);
        this.rows.set(c.answer, row);
      }
      seen.add(c.answer);
      const share = total > 0 ? c.weight / total : 0;
      row.bar.style.transform = `scaleX(${share})`;
      set(row.share, percent(share));
      set(row.detail, `${c.count} ${c.count === 1 ? "trace" : "traces"}, weight ${num(c.weight, 2)}`);
      row.element.classList.toggle("leads", i === 0);
      if (this.list.children[i] !== row.element) this.list.insertBefore(row.element, this.list.children[i] || null);
    });
    for (const [answer, row] of this.rows) {
      if (seen.has(answer)) continue;
      row.element.remove();
      this.rows.delete(answer);
    }
    set(this.note, this.words(ask, v, classes, others, total));
  }

  words(ask, v, classes, others, total) {
    if (classes.length === 0) return ask.running ? "No trace has an answer yet." : "No trace had an answer that votes.";
    const parts = [];
    const beta = ask.head.result ? ask.head.result.beta : v && v.beta;
    if (beta !== null && beta !== undefined) {
      const tau = ask.head.params.tau || 0.95;
      parts.push(`The leader has ${percent(beta, 1)} of the weight`);
      if (ask.head.started && ask.head.started.warmup) parts[0] += `; ${percent(tau)} end the run`;
    }
    if (others > 0) parts.push(`others together ${percent(others / total)}`);
    if (v && !v.filtered && ask.running && ask.head.started && ask.head.started.warmup) parts.push("not filtered yet: the warm-up has no threshold");
    const fallback = ask.head.result && ask.head.result.fallback;
    if (fallback) parts.push(`no regular voter: ${fallback.replaceAll("_", " ")} decided`);
    return parts.length ? parts.join(". ") + "." : `${count(classes.length)} answers.`;
  }
}

function newRow(answer) {
  const bar = h("i"), share = h("span", { class: "share" }), detail = h("span", { class: "soft" });
  const element = h("li", {}, h("div", { class: "bar-head" }, h("b", { title: answer }, cut(oneLine(answer), 80)), share), h("div", { class: "bar" }, bar), detail);
  return { element, bar, share, detail };
}
