// The question's form. Its fields are those that the chosen method uses; an empty one
// is the server's default, which it shows.

import { h, show, set, button } from "./dom.js";
import { call } from "./api.js";

const store = "orrery-form"; // the form as it was left, in this tab

// field describes one parameter: how it is read and what it means.
const fields = [
  { name: "eta", label: "η, traces kept", unit: "%", min: 0.1, max: 100, step: "any", hint: "method" },
  { name: "window", label: "window", unit: "tokens", text: true, hint: "auto" },
  { name: "threshold", label: "threshold", step: "any", min: 0, hint: "measured" },
  { name: "warmup", label: "warm-up", unit: "traces", min: 1, step: 1 },
  { name: "tau", label: "τ, consensus", step: "any", min: 0.01, max: 1 },
  { name: "min_votes", label: "least votes", min: 1, step: 1 },
  { name: "temperature", label: "temperature", step: "any", min: 0, max: 2 },
  { name: "top_p", label: "top-p", step: "any", min: 0.01, max: 1 },
  { name: "seed", label: "seed", step: 1, hint: "random" },
  { name: "max_tokens", label: "tokens a trace", min: 1, step: 1 },
  { name: "token_budget", label: "tokens in all", min: 1, step: 1, hint: "no limit" },
  { name: "deadline_seconds", label: "deadline", unit: "s", min: 0.1, step: "any", hint: "none" },
  { name: "concurrency", label: "traces at once", min: 1, step: 1, hint: "as served" },
  { name: "thoughts", label: "hidden thoughts", min: 0, step: 1, hint: "model's own" },
];

export class Form {
  constructor(about, asked) {
    this.about = about;
    this.asked = asked;
    this.question = h("textarea", { id: "question", rows: "1", placeholder: "Ask a question…", required: true, "aria-label": "Question", spellcheck: "true" });
    this.method = h("select", { id: "method", "aria-describedby": "method-about" }, about.methods.map((m) => h("option", { value: m.name }, m.name)));
    this.budget = h("input", { id: "budget", type: "number", min: "1", step: "1", inputmode: "numeric" });
    this.budgetField = h("label", { class: "field" }, "budget", this.budget, h("span", { class: "soft" }, "traces"));
    this.says = h("span", { class: "soft about", id: "method-about" });
    this.inputs = new Map();
    this.more = h("div", { class: "fields", id: "more-fields", hidden: true }, fields.map((f) => this.field(f)), this.switches());
    this.moreButton = button("More", () => this.unfold(this.more.hidden), { class: "quiet", "aria-expanded": "false", "aria-controls": "more-fields" });
    this.wrong = h("p", { class: "wrong", role: "alert", hidden: true });
    this.send = h("button", { type: "submit", class: "primary", title: "Ctrl+Enter" }, "Ask");
    this.element = h("form", { class: "ask-form", "aria-label": "Ask" }, this.question,
      h("div", { class: "row" }, h("label", { class: "field" }, "method", this.method), this.budgetField, this.moreButton, this.says, this.send),
      this.more, this.wrong);
    this.element.addEventListener("submit", (e) => {
      e.preventDefault();
      this.ask();
    });
    this.method.addEventListener("change", () => this.fit());
    this.question.addEventListener("input", () => this.tall());
    this.question.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) this.element.requestSubmit();
    });
    this.restore();
    this.fit();
  }

  field(f) {
    const input = h("input", { id: "p-" + f.name, type: f.text ? "text" : "number", min: f.min, max: f.max, step: f.step, autocomplete: "off" });
    const d = this.about.defaults, preset = d[f.name] !== undefined ? d[f.name] : this.about.preset[f.name];
    input.placeholder = preset !== undefined ? String(preset) : f.hint || "";
    const label = h("label", { class: "field" }, f.label, input, f.unit ? h("span", { class: "soft" }, f.unit) : null);
    this.inputs.set(f.name, { input, label, text: f.text });
    return label;
  }

  switches() {
    this.boxed = h("input", { type: "checkbox", id: "boxed", checked: this.about.boxed });
    this.measured = h("input", { type: "checkbox", id: "measured", checked: this.about.measures });
    this.measuredField = h("label", { class: "check" }, this.measured, "measure confidence");
    return [h("label", { class: "check" }, this.boxed, "ask for \\boxed{…}"), this.measuredField];
  }

  chosen() {
    return this.about.methods.find((m) => m.name === this.method.value) || this.about.methods[0];
  }

  // fit shows the fields that the method uses.
  fit() {
    const m = this.chosen();
    if (!m) return;
    set(this.says, m.about);
    show(this.budgetField, m.uses.includes("budget"));
    this.budget.placeholder = String(this.about.defaults.budget || this.about.preset.budget);
    for (const [name, f] of this.inputs) show(f.label, m.uses.includes(name) && (name !== "thoughts" || !!this.about.latent));
    // Methods that vote by numbers ask for no log-probabilities by themselves.
    show(this.measuredField, !m.uses.includes("warmup") && !m.uses.includes("weight"));
  }

  unfold(open) {
    show(this.more, open);
    this.moreButton.setAttribute("aria-expanded", String(open));
    set(this.moreButton, open ? "Less" : "More");
  }

  tall() {
    this.question.style.height = "auto";
    this.question.style.height = Math.min(260, this.question.scrollHeight + 2) + "px";
  }

  params() {
    const m = this.chosen(), out = {};
    if (m.uses.includes("budget") && this.budget.value) out.budget = Number(this.budget.value);
    for (const [name, f] of this.inputs) {
      const v = f.input.value.trim();
      if (!v || f.label.hidden) continue;
      out[name] = Number.isNaN(Number(v)) ? v : Number(v); // the server says what is wrong with a word
    }
    if (!this.measuredField.hidden && this.measured.checked) out.k = Math.min(20, this.about.top_logprobs || 20);
    return out;
  }

  async ask() {
    show(this.wrong, false);
    this.keep();
    this.send.disabled = true;
    try {
      const r = await call("/api/asks", { body: { question: this.question.value, method: this.method.value, boxed: this.boxed.checked, params: this.params() } });
      this.question.value = "";
      this.keep();
      this.asked(r.id);
    } catch (e) {
      set(this.wrong, e.message);
      show(this.wrong, true);
    }
    this.send.disabled = false;
  }

  // keep remembers the form for as long as the tab lives.
  keep() {
    const f = { question: this.question.value, method: this.method.value, budget: this.budget.value, open: !this.more.hidden, more: {} };
    for (const [name, { input }] of this.inputs) f.more[name] = input.value;
    sessionStorage.setItem(store, JSON.stringify(f));
  }

  restore() {
    const wanted = ["deepconf-high", "coconut", "single"].find((n) => this.about.methods.some((m) => m.name === n));
    if (wanted) this.method.value = wanted;
    let f = null;
    try {
      f = JSON.parse(sessionStorage.getItem(store));
    } catch {
      // it was not ours
    }
    if (f) this.fill(f);
  }

  // fill sets the form, for instance to ask something again.
  fill(f) {
    this.question.value = f.question || "";
    if (this.about.methods.some((m) => m.name === f.method)) this.method.value = f.method;
    this.budget.value = f.budget || "";
    this.unfold(!!f.open);
    for (const [name, { input }] of this.inputs) input.value = (f.more && f.more[name]) ?? "";
    this.fit();
    requestAnimationFrame(() => this.tall());
  }
}
