// Runs: trainings, evaluations, audits and whatever else has been run, past and live.

import { h, set, show, button } from "./dom.js";
import { call } from "./api.js";
import { watch } from "./events.js";
import { Curves } from "./curves.js";
import { Weights } from "./weights.js";
import { seconds, when, sig, cut, oneLine } from "./format.js";

export function view(main, about, id, go, query) {
  const page = h("div", { class: "page" });
  main.replaceChildren(page);
  return id ? one(page, id) : list(page, query);
}

function list(page, query) {
  const find = h("input", { type: "search", placeholder: "Find by name, kind or id", "aria-label": "Find", value: query.get("find") || "" });
  const kind = h("select", { "aria-label": "kind" }, h("option", { value: "" }, "any kind"), ["train", "eval", "audit", "probe", "sweep", "overlay", "delta"].map((k) => h("option", { value: k }, k)));
  kind.value = query.get("kind") || "";
  const body = h("tbody"), note = h("p", { class: "empty" }, "…");
  const table = h("table", { class: "list", hidden: true }, h("caption", { class: "sr" }, "Runs, the newest first"),
    h("thead", {}, h("tr", {}, ["name", "kind", "state", "figures", "report", "time", "started"].map((t, i) => h("th", { scope: "col", class: i === 5 ? "n" : null }, t)))), body);
  page.replaceChildren(h("h1", {}, "Runs"), h("form", { class: "filters", role: "search", onsubmit: (e) => e.preventDefault() }, find, kind), note, h("div", { class: "scroll" }, table));
  let runs = [], error = "";
  const draw = () => {
    const q = find.value.trim().toLowerCase();
    const fits = runs.filter((r) => (!kind.value || r.kind === kind.value) && (!q || [r.name, r.kind, r.id, r.state].some((v) => v.toLowerCase().includes(q))));
    body.replaceChildren(...fits.map(row));
    show(table, fits.length > 0);
    show(note, fits.length === 0);
    set(note, error || (runs.length ? "No run is like that." : "Nothing has been run yet: orrery train, eval, audit, probe and sweep show up here."));
  };
  find.addEventListener("input", draw);
  kind.addEventListener("change", draw);
  const leave = watch("runs", (f) => {
    runs = f.runs || [];
    error = f.gone ? "Runs are shown to keys that see all alone." : f.error || "";
    draw();
  });
  const clock = setInterval(() => {
    for (const cell of body.querySelectorAll("[data-since]")) set(cell, seconds((Date.now() - Number(cell.dataset.since)) / 1000));
  }, 1000);
  return () => {
    leave();
    clearInterval(clock);
  };
}

// worth are the figures that say most of a run, best first.
const worth = [/^accuracy/, /accuracy/, /loss/, /ratio/, /./];

function figures(metrics, most) {
  const all = Object.entries(metrics || {}).filter(([k, v]) => typeof v === "number" && !/^(seconds|step|epoch|lr|tokens)/.test(k));
  const rank = ([k]) => worth.findIndex((r) => r.test(k));
  return all.sort((a, b) => rank(a) - rank(b)).slice(0, most).map(([k, v]) => `${k} ${sig(v)}`).join(", ");
}

function row(r) {
  const time = h("td", { class: "n", data: r.state === "running" ? { since: String(Date.parse(r.started)) } : {} }, r.state === "running" ? "…" : seconds(r.seconds));
  return h("tr", {}, h("td", {}, h("a", { href: "#/runs/" + encodeURIComponent(r.id) }, r.name ? cut(oneLine(r.name), 70) : r.id)), h("td", {}, r.kind), h("td", {}, h("span", { class: "chip", data: { state: r.state } }, r.state)),
    h("td", { class: "wrap" }, r.error ? cut(oneLine(r.error), 100) : figures(r.metrics, 3)), h("td", {}, r.report ? "yes" : ""), time, h("td", {}, when(r.started)));
}

// one follows a run: facts, curves, weights as they form, report.
function one(page, id) {
  const at = "/api/runs/" + encodeURIComponent(id);
  const title = h("h1", {}, "…"), state = h("span", { class: "chip" }), facts = h("p", { class: "soft" }), error = h("p", { class: "wrong", role: "alert" });
  const curves = new Curves(), weights = new Weights((epoch) => call(`${at}/weights/${epoch}`));
  const report = new Report(at);
  const settings = h("details", { hidden: true }, h("summary", {}, "Settings and result"), h("pre", { class: "text", tabindex: "0" }));
  page.replaceChildren(h("p", { class: "crumb" }, h("a", { href: "#/runs" }, "Runs")), h("header", { class: "run-head" }, title, state), facts, error, curves.element, weights.element, report.element, settings);
  let run = null;
  settings.addEventListener("toggle", () => {
    if (!settings.open) return;
    call(at).then((r) => set(settings.lastChild, JSON.stringify({ config: r.config, result: r.result }, null, 2).slice(0, 400000)), (e) => set(settings.lastChild, e.message));
  });
  const tell = () => {
    if (!run) return;
    const time = run.state === "running" ? (Date.now() - Date.parse(run.started)) / 1000 : run.seconds;
    set(facts, [run.kind, run.id, "started " + when(run.started), seconds(time), figures(run.metrics, 6)].filter(Boolean).join(" · "));
  };
  const leave = watch("run/" + id, (f, whole) => {
    if (f.gone) return set(error, "There is no such run here.");
    if (f.run) {
      run = f.run;
      set(title, run.name || run.id);
      set(state, run.state);
      state.dataset.state = run.state;
      show(settings, true);
      document.title = (run.name || run.id) + " · Runs · Orrery";
    }
    set(error, f.error || (run && run.error) || "");
    tell();
    curves.apply(f, whole);
    weights.apply(f.epochs || [], run && run.state === "running");
    report.apply(f.report || 0);
  });
  const clock = setInterval(tell, 1000);
  return () => {
    leave();
    clearInterval(clock);
    curves.close();
    weights.close();
  };
}

// Report shows a run's report.html in a frame of an origin of its own, again whenever
// it has been written anew.
class Report {
  constructor(at) {
    this.at = at;
    this.written = 0;
    this.frame = null;
    this.note = h("p", { class: "wrong" });
    this.open = button("Open in a tab", () => this.tab(), { class: "quiet" });
    this.room = h("div", {});
    this.element = h("section", { class: "panel report", "aria-label": "Report", hidden: true }, h("div", { class: "panel-head" }, h("h2", {}, "Report"), h("span", { class: "grow" }), this.open), this.note, this.room);
  }
  async apply(written) {
    if (!written || written === this.written) return;
    this.written = written;
    show(this.element, true);
    try {
      const r = await call(this.at + "/report", { method: "POST" });
      const frame = h("iframe", { src: r.url, sandbox: "allow-scripts", title: "Report", referrerpolicy: "no-referrer", class: "report-frame" });
      this.room.replaceChildren(frame);
      set(this.note, "");
    } catch (e) {
      set(this.note, e.message);
    }
  }
  async tab() {
    // The tab is opened first: browsers allow it only in answer to the click itself.
    const tab = window.open("about:blank", "_blank");
    try {
      const r = await call(this.at + "/report", { method: "POST" });
      if (tab) {
        tab.opener = null;
        tab.location = r.url;
      }
    } catch (e) {
      if (tab) tab.close();
      set(this.note, e.message);
    }
  }
}
