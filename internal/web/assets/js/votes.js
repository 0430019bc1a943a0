// The vote: a bar an answer, and how the leader's share moved as tokens were spent.

import { h, set } from "./dom.js";
import { Chart } from "./chart.js";
import { num, percent, cut, oneLine, count } from "./format.js";

export class Votes {
  constructor() {
    this.rows = new Map(); // by answer
    this.list = h("ol", { class: "bars" });
    this.note = h("p", { class: "soft" });
    this.shown = 0;
    this.leaders = [];
    this.element = h("section", { class: "panel", "aria-label": "Vote" }, h("h2", {}, "Vote"), this.list, this.note, (this.room = h("div", { class: "shift", hidden: true })));
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
    this.shift(ask, classes.slice(0, 4).map((c) => c.answer));
  }

  // shift draws the leaders' shares over the tokens that had been spent.
  shift(ask, leaders) {
    if (ask.unvoted) {
      this.room.replaceChildren(h("h3", {}, "How it shifted"), h("p", { class: "soft" }, "Not known: it was not recorded."));
      this.room.hidden = false;
      return;
    }
    if (ask.votes.length < 3 || this.shown === ask.votes.length) return;
    this.shown = ask.votes.length;
    if (leaders.join("\n") !== this.leaders.join("\n")) {
      if (this.chart) this.chart.close();
      this.leaders = leaders;
      const tau = ask.head.params.tau || 0.95, online = ask.head.started && ask.head.started.warmup > 0;
      this.chart = new Chart({
        label: "Share of the vote by tokens spent", x: "tokens spent", height: 150, legend: false, percent: true, range: [0, 1.12],
        series: leaders.map((a, i) => ({ label: cut(oneLine(a), 24), colour: "--s" + (i === 3 ? 4 : i), width: i ? 1.3 : 2.2, step: true })),
        lines: () => (online ? [{ y: tau, label: `τ = ${tau}`, colour: "--soft" }] : []),
      });
      this.room.replaceChildren(h("h3", {}, "How it shifted"), this.chart.element,
        h("p", { class: "keys" }, leaders.map((a, i) => h("span", { class: "c" + (i === 3 ? 4 : i) }, cut(oneLine(a), 24)))));
      this.room.hidden = false;
    }
    const x = [], y = leaders.map(() => []);
    for (const v of ask.votes) {
      const total = (v.classes || []).reduce((sum, c) => sum + c.weight, 0) + (v.others || 0);
      x.push(v.used);
      leaders.forEach((a, i) => {
        const c = (v.classes || []).find((c) => c.answer === a);
        y[i].push(total > 0 ? (c ? c.weight : 0) / total : null);
      });
    }
    this.chart.set([x, ...y]);
  }

  close() {
    if (this.chart) this.chart.close();
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
