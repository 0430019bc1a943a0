// The page's frame: which view is shown, the theme, signing in, shortcuts.

import { h, set, show, say, typing } from "./dom.js";
import { call, setKey, onUnsigned } from "./api.js";
import { onStatus, again } from "./events.js";
import { help } from "./help.js";
import * as ask from "./view-ask.js";
import * as history from "./view-history.js";
import * as runs from "./view-runs.js";
import * as compare from "./view-compare.js";

const main = document.getElementById("main"), link = document.getElementById("link");
let about = null, leave = () => {}, turn = 0;

const views = { ask, history, runs, compare };

// route is the view and what it is given, from an address like #/ask/ID.
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const name = views[parts[0]] ? parts[0] : "ask";
  return { name, id: parts.slice(1).join("/"), query: new URLSearchParams(query || "") };
}

export function go(hash) {
  if (location.hash === hash) draw();
  else location.hash = hash;
}

async function draw() {
  const { name, id, query } = route(), mine = ++turn;
  leave();
  leave = () => {};
  for (const a of document.querySelectorAll("nav a")) {
    if (a.dataset.view === name) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  try {
    if (!about) {
      about = await call("/api/about");
      set(document.getElementById("model"), about.model);
      // Runs and reports are the operator's; a key that sees its own requests only has none.
      for (const a of document.querySelectorAll("nav a")) show(a, about.sees_all || !["runs", "compare"].includes(a.dataset.view));
      document.getElementById("model").title = `${about.model} (${about.backend})`;
    }
  } catch (e) {
    if (mine !== turn) return;
    const wants = e.status === 401; // the form above asks for it
    main.replaceChildren(h("div", { class: "page" }, h("p", { class: "empty" }, wants ? "This page needs an API key of this server." : e.message + "."),
      wants ? null : h("p", { class: "empty" }, h("button", { type: "button", onclick: draw }, "Try again"))));
    return;
  }
  if (mine !== turn) return; // the address has changed meanwhile, and that draws by itself
  document.title = { ask: "Ask", history: "History", runs: "Runs", compare: "Compare" }[name] + " · Orrery";
  leave = views[name].view(main, about, id, go, query) || (() => {});
}

addEventListener("hashchange", () => {
  draw();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});

onStatus((state, detail) => {
  link.dataset.state = state;
  set(link, { live: "live", joining: "connecting", lost: "connection lost" }[state] + (detail ? ": " + detail : ""));
  if (state === "lost") say("Connection lost" + (detail ? ", " + detail : ""));
});

// Signing in.
const form = document.getElementById("signin"), key = document.getElementById("key"), wrong = document.getElementById("signin-wrong");
onUnsigned((had) => {
  show(form, true);
  set(wrong, had ? "This key is not known here." : "");
  key.focus();
});
form.addEventListener("submit", async (e) => {
  e.preventDefault();
  setKey(key.value);
  try {
    about = await call("/api/about");
  } catch {
    return; // onUnsigned has said it
  }
  about = null;
  key.value = "";
  show(form, false);
  again(true);
  draw();
});

// The theme: the system's, or light, or dark.
const themes = ["auto", "light", "dark"], themeButton = document.getElementById("theme");
let theme = themes.includes(localStorage.getItem("orrery-theme")) ? localStorage.getItem("orrery-theme") : "auto";
function setTheme(t) {
  theme = t;
  localStorage.setItem("orrery-theme", t);
  if (t === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
  set(themeButton, { auto: "◐", light: "☀", dark: "☾" }[t]);
  themeButton.title = `Theme: ${t} (t)`;
  themeButton.setAttribute("aria-label", `Theme: ${t}`);
  document.dispatchEvent(new Event("orrery-theme"));
}
setTheme(theme);
themeButton.addEventListener("click", () => setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]));

// Shortcuts. A letter works where it is not typed into a field.
document.getElementById("help").addEventListener("click", help);
let g = 0;
document.addEventListener("keydown", (e) => {
  if (typing(e) || document.querySelector("dialog[open]")) return;
  const places = { a: "#/", h: "#/history", r: "#/runs", c: "#/compare" };
  if (Date.now() - g < 1500 && places[e.key]) {
    g = 0;
    go(places[e.key]);
  } else if (e.key === "g") g = Date.now();
  else if (e.key === "?") help();
  else if (e.key === "t") themeButton.click();
  else if (e.key === "/") {
    const field = document.querySelector("#question, input[type=search]");
    if (field) {
      e.preventDefault();
      field.focus();
    }
  }
});

draw();
