// History: what has been asked, and what other settings would have made of it.

import { h, set, show, button } from "./dom.js";
import { call } from "./api.js";
import { Ask } from "./model.js";
import { RunView } from "./run-view.js";
import { ReplayPanel } from "./replay.js";
import { count, short, when, cut, oneLine, seconds } from "./format.js";

export function view(main, about, id, go, query) {
  const page = h("div", { class: "page" });
  main.replaceChildren(page);
  return id ? one(page, id) : list(page, about, query);
}

const states = ["running", "done", "failed", "stopped", "lost"];

function list(page, about, query) {
  const find = h("input", { type: "search", placeholder: "Find in questions and answers", "aria-label": "Find", value: query.get("find") || "" });
  const choice = (name, values) => h("select", { "aria-label": name, value: "" }, h("option", { value: "" }, "any " + name), values.map((v) => h("option", { value: v }, v)));
  const method = choice("method", about.methods.map((m) => m.name)), state = choice("state", states);
  method.value = query.get("method") || "";
  state.value = query.get("state") || "";
  const body = h("tbody"), note = h("p", { class: "empty" }, "…"), older = button("Older", () => load(true), { hidden: true });
  const table = h("table", { class: "list", hidden: true }, h("caption", { class: "sr" }, "Recorded requests, the newest first"),
    h("thead", {}, h("tr", {}, ["question", "method", "state", "traces", "tokens", "saved", "answer", "time", "asked"].map((t, i) => h("th", { scope: "col", class: (i > 2 && i < 6) || i === 7 ? "n" : null }, t)))), body);
  page.replaceChildren(h("h1", {}, "History"), h("form", { class: "filters", role: "search", onsubmit: (e) => e.preventDefault() }, find, method, state), note, h("div", { class: "scroll" }, table), older);
  let last = "", turn = 0, timer = 0;
  const load = async (more) => {
    const mine = ++turn;
    const q = new URLSearchParams();
    for (const [k, v] of [["find", find.value.trim()], ["method", method.value], ["state", state.value]]) if (v) q.set(k, v);
    history.replaceState(null, "", "#/history" + (q.size ? "?" + q : ""));
    if (more) q.set("before", last);
    try {
      const r = await call("/api/history?" + q);
      if (mine !== turn) return;
      const rows = r.runs.map(row);
      if (more) body.append(...rows);
      else body.replaceChildren(...rows);
      if (r.runs.length) last = r.runs[r.runs.length - 1].id;
      show(older, r.more);
      show(table, body.childNodes.length > 0);
      show(note, body.childNodes.length === 0);
      set(note, find.value || method.value || state.value ? "No request is like that." : "No request has been recorded yet.");
    } catch (e) {
      if (mine !== turn) return;
      show(table, false);
      show(older, false);
      show(note, true);
      set(note, e.message);
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => load(false), 200);
  };
  find.addEventListener("input", soon);
  method.addEventListener("change", soon);
  state.addEventListener("change", soon);
  load(false);
  return () => {
    turn++;
    clearTimeout(timer);
  };
}

function row(r) {
  const where = r.request && r.state === "running" ? "#/ask/" + encodeURIComponent(r.request) : "#/history/" + encodeURIComponent(r.id);
  const cells = [h("a", { href: where }, r.question === null ? "not kept" : cut(oneLine(r.question), 90) || "(empty)"), r.method, r.state, count(r.traces), short(r.tokens),
    r.saved ? short(Math.round(r.saved)) : "", r.answer === null ? "" : cut(oneLine(r.answer), 50), seconds(r.seconds), when(r.started)];
  return h("tr", {}, cells.map((c, i) => h("td", { class: (i > 2 && i < 6) || i === 7 ? "n" : null }, c)));
}

// one shows a recorded request.
function one(page, id) {
  const at = "/api/history/" + encodeURIComponent(id);
  const note = h("p", { class: "empty" }, "…");
  page.replaceChildren(note);
  let shown = null, replay = null, left = false;
  call(at).then((r) => {
    if (left) return;
    const ask = new Ask();
    ask.apply(r.shown, true);
    shown = new RunView(ask, {
      texts: (n, frame) => {
        let gone = false;
        call(`${at}/traces/${n}`).then((f) => !gone && frame(f, true), () => {});
        return () => (gone = true);
      },
      tokens: () => call(at + "/tokens"),
    });
    replay = new ReplayPanel(at, r, ask, shown);
    shown.extra.append(replay.element);
    const facts = [when(r.run.started), r.run.id, r.run.model, r.run.client && "asked by " + r.run.client, r.keep ? "kept: " + r.keep.replaceAll(",", ", ") : ""].filter(Boolean).join(" · ");
    page.replaceChildren(h("p", { class: "crumb" }, h("a", { href: "#/history" }, "History"), " ", h("span", { class: "soft" }, facts)), shown.element);
    shown.update();
  }, (e) => set(note, e.message));
  return () => {
    left = true;
    if (shown) shown.close();
    if (replay) replay.close();
  };
}
