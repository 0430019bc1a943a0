// Ask: the form, and a request as its traces think.

import { h, set, show } from "./dom.js";
import { call } from "./api.js";
import { watch } from "./events.js";
import { Ask } from "./model.js";
import { Form } from "./form.js";
import { RunView } from "./run-view.js";
import { count, short, when, cut, oneLine } from "./format.js";

// view builds the page and returns how to leave it.
export function view(main, about, id, go) {
  const form = new Form(about, (id) => go("#/ask/" + id));
  const below = h("div", {});
  main.replaceChildren(h("div", { class: "page" }, h("h1", { class: "sr" }, "Ask"), form.element, below));
  if (!id) form.question.focus({ preventScroll: true });
  form.tall();
  return id ? run(below, id, form) : recent(below);
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
  const cells = Array.from({ length: 8 }, (_, i) => h("td", { class: i > 2 && i < 6 ? "n" : i === 2 ? "wrap" : null }));
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

// run shows one request, live.
function run(room, id, form) {
  const ask = new Ask();
  const at = encodeURIComponent(id);
  const gone = h("p", { class: "empty", hidden: true }, "This request is not kept here any more. It may be in the ", h("a", { href: "#/history" }, "history"), ".");
  const shown = new RunView(ask, {
    texts: (n, frame) => watch(`trace/${id}/${n}`, frame),
    tokens: () => call(`/api/asks/${at}/tokens`),
    stop: () => call(`/api/asks/${at}/stop`, { method: "POST" }),
    again: () => form.fill({ question: ask.head.question, method: ask.head.method, budget: ask.head.params.budget || "" }),
  });
  room.replaceChildren(gone, shown.element);
  show(shown.element, false);
  let pending = false;
  const leave = watch("ask/" + id, (f, whole) => {
    ask.apply(f, whole);
    show(gone, ask.gone);
    show(shown.element, !ask.gone && !!ask.head);
    if (pending || ask.gone) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      shown.update();
    });
  });
  const clock = setInterval(() => ask.running && shown.time(), 500);
  return () => {
    leave();
    clearInterval(clock);
    shown.close();
  };
}
