// The list of shortcuts.

import { h, button } from "./dom.js";

const keys = [
  ["/", "go to the question, or to the search field"],
  ["Ctrl Enter", "ask"],
  ["s", "stop the request"],
  ["↑ ↓ Home End", "in the traces: choose one; Enter opens it"],
  ["← →", "in the winning text: the next token and its alternatives"],
  ["Esc", "close the open trace"],
  ["g then a, h, r, c", "Ask, History, Runs, Compare"],
  ["t", "theme: system's, light, dark"],
  ["?", "this list"],
];

export function help() {
  const dialog = h("dialog", { class: "help", "aria-label": "Keyboard shortcuts" }, h("h2", {}, "Keyboard"),
    h("dl", {}, keys.map(([k, what]) => [h("dt", {}, k.split(" ").map((p) => (p === "then" ? " then " : h("kbd", {}, p)))), h("dd", {}, what)])),
    button("Close", () => dialog.close(), { class: "primary" }));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
