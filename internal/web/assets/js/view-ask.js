// Ask: the form, and a request as its traces think.

import { h, set, show, button, say } from "./dom.js";
import { call } from "./api.js";
import { watch } from "./events.js";
import { Ask } from "./model.js";
import { Form } from "./form.js";
import { Strips } from "./strips.js";
import { Votes } from "./votes.js";
import { Winner } from "./winner.js";
import { TracePanel, showThoughts } from "./trace.js";
import { count, short, num, percent, seconds, when, cut, oneLine } from "./format.js";

// view builds the page and returns how to leave it.
export function view(main, about, id, go) {
  const form = new Form(about, (id) => go("#/ask/" + id));
  const below = h("div", {});
  main.replaceChildren(h("div", { class: "page" }, h("h1", { class: "sr" }, "Ask"), form.element, below));
  if (!id) form.question.focus({ preventScroll: true });
  form.tall();
  return id ? run(below, id, form, go) : recent(below);
}

// recent lists what has been asked since the server began.
function recent(room) {
  const asks = new Map(), body = h("tbody", {}), rows = new Map();
  const empty = h("p", { class: "empty" }, "Nothing has been asked yet. Every request shows up here, also those that programs make.");
  const table = h("table", { class: "list", hidden: true }, h("caption", { class: "sr" }, "Requests since the server began"),
    h("thead", {}, h("tr", {}, ["question", "method", "state", "traces", "tokens", "saved", "answer", "asked"].map((t, i) => h("th", { scope: "col", class: i > 2 && i < 6 ? "n" : null }, t)))), body);
  room.replaceChildren(h("section", { class: "panel wide" }, h("h2", {}, "Since the server began"), empty, h("div", { class: "scroll" }, table)));
  return watch("asks", (f, whole) => {
    if (whole) {
      asks.clear();
      rows.clear();
      body.replaceChildren();
    }
    for (const id of f.gone || []) {
      asks.delete(id);
      if (rows.has(id)) rows.get(id).element.remove();
      rows.delete(id);
    }
    for (const a of f.asks || []) {
      let row = rows.get(a.id);
      if (!row) {
        row = listRow(a);
        rows.set(a.id, row);
        body.prepend(row.element);
      }
      row.update(a);
      asks.set(a.id, a);
    }
    show(empty, asks.size === 0);
    show(table, asks.size > 0);
  });
}

function listRow(a) {
  const cells = Array.from({ length: 8 }, (_, i) => h("td", { class: i > 2 && i < 6 ? "n" : null }));
  const link = h("a", { href: "#/ask/" + encodeURIComponent(a.id) });
  cells[0].append(link);
  return {
    element: h("tr", {}, cells),
    update(a) {
      set(link, cut(oneLine(a.question), 90) || "(empty)");
      set(cells[1], a.method);
      set(cells[2], a.error ? a.state + ": " + cut(oneLine(a.error), 60) : a.state);
      set(cells[3], a.running ? `${a.running} of ${a.traces}` : count(a.traces));
      set(cells[4], short(a.used));
      set(cells[5], a.saved ? short(Math.round(a.saved)) : "");
      set(cells[6], a.answer === null ? "" : cut(oneLine(a.answer), 50));
      set(cells[7], when(a.time));
    },
  };
}

// run shows one request.
function run(room, id, form, go) {
  const ask = new Ask();
  const question = h("p", { class: "question" }), state = h("span", { class: "chip" });
  const stop = button("Stop", () => call(`/api/asks/${encodeURIComponent(id)}/stop`, { method: "POST" }).catch((e) => set(error, e.message)), { class: "danger", id: "stop", hidden: true, title: "Stop (s)" });
  const again = button("Ask again", () => form.fill({ question: ask.head.question, method: ask.head.method, budget: ask.head.params.budget || "" }), { class: "quiet", hidden: true });
  const error = h("p", { class: "wrong", role: "alert" });
  const metrics = h("dl", { class: "metrics" }), cells = new Map();
  for (const name of ["answer", "traces", "tokens", "saved", "threshold", "agreement", "time"]) {
    const dd = h("dd", {}, "–");
    cells.set(name, dd);
    metrics.append(h("div", { class: "m-" + name }, h("dt", {}, name), dd));
  }
  const warnings = h("ul", { class: "warnings", hidden: true });
  let panel = null;
  const side = h("div", { class: "side" });
  const open = (n) => {
    if (panel) {
      panel.close();
      panel.element.remove();
    }
    panel = null;
    strips.select(-1);
    if (n < 0 || n >= ask.traces.length) {
      strips.scroller.focus({ preventScroll: true });
      return;
    }
    panel = new TracePanel(ask, n, open);
    side.append(panel.element);
    strips.select(n);
    panel.title.focus({ preventScroll: innerWidth > 1000 });
    if (innerWidth <= 1000) panel.element.scrollIntoView({ block: "start" });
  };
  const strips = new Strips(open), votes = new Votes(), winner = new Winner();
  const thoughts = h("section", { class: "panel", hidden: true }, h("h2", {}, "Hidden thoughts"), h("p", { class: "soft" }, "What each would be, were it read as a word."), h("ol", { class: "thoughts" }));
  side.append(votes.element);
  const gone = h("p", { class: "empty", hidden: true }, "This request is not kept here any more. It may be in the ", h("a", { href: "#/history/" + encodeURIComponent(id) }, "history"), ".");
  const all = h("article", { class: "run" },
    h("header", { class: "run-head" }, question, state, stop, again), error, warnings, metrics,
    h("div", { class: "columns" }, h("div", { class: "main-column" }, h("section", { class: "panel", "aria-label": "Traces" }, strips.element), thoughts, winner.element), side));
  room.replaceChildren(gone, all);
  let clock = 0, leaveThoughts = null, pending = false, lastState = "";

  const update = () => {
    pending = false;
    const head = ask.head;
    show(all, !ask.gone && !!head);
    show(gone, ask.gone);
    if (!head || ask.gone) return;
    set(question, cut(head.question, 1200));
    set(state, head.state);
    state.dataset.state = head.state;
    show(stop, ask.running && head.mine);
    show(again, !ask.running);
    if (head.error && head.state !== "stopped") set(error, head.error);
    const n = ask.tally(), done = ask.traces.length - n.running, budget = head.started ? head.started.budget : 0;
    const r = head.result, leader = r ? r.answer : ask.vote && ask.vote.leader;
    set(cells.get("answer"), leader === null || leader === undefined ? "–" : cut(oneLine(leader), 60));
    set(cells.get("traces"), [`${done}${budget ? " of " + budget : ""}`, n.running && `${n.running} running`, n.stopped && `${n.stopped} stopped early`, n.cut && `${n.cut} cut`, n.failed && `${n.failed} failed`].filter(Boolean).join(", "));
    set(cells.get("tokens"), count(ask.used));
    const s = ask.saved;
    set(cells.get("saved"), s === null ? "–" : `≈ ${count(Math.round(s))}` + (s > 0 ? ` (${percent(s / (s + ask.used))})` : ""));
    const measured = head.started && head.started.k > 0;
    set(cells.get("threshold"), ask.threshold !== null ? num(ask.threshold) + (head.calibrated ? `, from ${head.calibrated.n} traces` : "") : measured ? (head.started.warmup && ask.running ? "after the warm-up" : "none") : "not measured");
    const beta = r ? r.beta : ask.vote && ask.vote.beta;
    set(cells.get("agreement"), percent(beta, 1));
    time();
    show(warnings, ask.warnings.length > 0);
    if (warnings.childNodes.length !== ask.warnings.length) warnings.replaceChildren(...ask.warnings.map((w) => h("li", {}, w.message)));
    strips.update();
    votes.update(ask);
    winner.update(ask);
    if (panel) panel.update();
    show(votes.element, ask.traces.length > 1);
    latent();
    const now = head.state + (ask.running ? `, ${done} traces have ended` : "");
    if (now !== lastState) say(ask.running ? now : `The request is ${head.state}. ` + (leader ? "Answer: " + cut(oneLine(leader), 80) : ""));
    lastState = now;
  };
  const time = () => {
    const head = ask.head;
    if (head) set(cells.get("time"), seconds(head.result && head.result.seconds ? head.result.seconds : (Date.parse(head.ended || new Date().toISOString()) - Date.parse(head.time)) / 1000));
  };
  // A single trace of a latent model: its thoughts are the thing to see.
  const latent = () => {
    const t = ask.traces[0];
    if (!t || !t.head.thoughts || leaveThoughts) return;
    show(thoughts, true);
    leaveThoughts = watch(`trace/${id}/0`, (f) => f.thoughts && showThoughts(thoughts.lastChild, f.thoughts));
  };
  // The text of a single trace is what there is to see while it runs.
  const single = () => {
    const m = ask.head && ask.head.method;
    if (!panel && ask.traces.length === 1 && ask.running && (m === "single" || m === "coconut")) {
      panel = new TracePanel(ask, 0, open);
      side.append(panel.element);
    }
  };

  strips.show(ask);
  const leave = watch("ask/" + id, (f, whole) => {
    ask.apply(f, whole);
    single();
    if (!pending) {
      pending = true;
      requestAnimationFrame(update);
    }
  });
  clock = setInterval(() => ask.running && time(), 500);
  const keys = (e) => {
    if (e.key === "s" && !stop.hidden && !typing(e)) stop.click();
    if (e.key === "Escape" && panel && !typing(e)) open(-1);
  };
  document.addEventListener("keydown", keys);
  return () => {
    leave();
    if (leaveThoughts) leaveThoughts();
    clearInterval(clock);
    document.removeEventListener("keydown", keys);
    if (panel) panel.close();
    strips.close();
  };
}

// typing reports a key that goes into a field.
export const typing = (e) => e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
