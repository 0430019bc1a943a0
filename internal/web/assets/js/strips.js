// Every trace as a strip: one row, from left to right its groups of tokens, coloured
// by their confidence. Drawn on one canvas, of which only the rows in view are.

import { h, set } from "./dom.js";
import { css, nice, shades } from "./colour.js";
import { Rows } from "./rows.js";
import { short, num, cut, oneLine, reason, why } from "./format.js";

const gutter = 34; // pixels left of the strips, for numbers
const top = 18; // for the axis

let made = 0;

export class Strips {
  // open(n) is called when a trace is chosen.
  constructor(open) {
    this.open = open;
    this.ask = null;
    this.at = -1; // the row with the keyboard's cursor
    this.opened = -1;
    this.xmax = 0; // until something is drawn
    this.pixels = null;
    this.lines = new Rows();
    this.dirty = false;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.room = h("div", { class: "strip-room" }, this.canvas);
    const id = "strips-" + ++made;
    this.cursor = h("div", { class: "sr strip-cursor", role: "option", id: id + "-cursor", "aria-selected": "true" });
    this.scroller = h("div", { class: "strips", tabindex: "0", role: "listbox", "aria-label": "Traces", "aria-describedby": id + "-hint" }, this.room, this.cursor);
    this.tip = h("div", { class: "tip", hidden: true });
    this.legend = new Legend();
    this.element = h("div", {}, this.legend.element, this.scroller, this.tip,
      h("p", { class: "sr", id: id + "-hint" }, "Arrow keys choose a trace, Enter opens it."));
    this.scroller.addEventListener("scroll", () => this.mark(), { passive: true });
    this.scroller.addEventListener("keydown", (e) => this.key(e));
    this.scroller.addEventListener("focus", () => this.move(this.at < 0 ? Math.max(0, this.opened) : this.at));
    this.scroller.addEventListener("blur", () => this.mark());
    this.canvas.addEventListener("click", (e) => {
      const n = this.rowAt(e);
      if (n >= 0) {
        this.move(n);
        this.open(n);
      }
    });
    this.canvas.addEventListener("pointermove", (e) => this.hover(e));
    this.canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.watcher = new ResizeObserver(() => this.layout());
    this.watcher.observe(this.scroller);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => {
      this.inks = null;
      this.mark();
    };
    this.scheme.addEventListener("change", this.recolour);
    document.addEventListener("orrery-theme", this.recolour);
  }

  close() {
    this.watcher.disconnect();
    this.scheme.removeEventListener("change", this.recolour);
    document.removeEventListener("orrery-theme", this.recolour);
  }

  show(ask) {
    this.ask = ask;
    this.layout();
  }

  // layout fits rows to the room: high where there are few traces, and so low that as
  // many as can still be told apart are in view where there are many.
  layout() {
    if (!this.ask) return;
    const n = this.ask.traces.length;
    const most = Math.max(200, Math.min(innerHeight * 0.7, 860)), least = n <= 64 ? 13 : 7;
    this.row = Math.max(least, Math.min(24, Math.floor((most - top) / Math.max(1, n))));
    this.labels = this.scroller.clientWidth >= 560 ? 150 : 96;
    const whole = top + n * this.row + 2;
    this.height = Math.min(whole, most);
    this.scroller.style.height = this.height + "px";
    this.room.style.height = whole + "px";
    this.mark();
  }

  mark() {
    if (this.dirty) return;
    this.dirty = true;
    requestAnimationFrame(() => {
      this.dirty = false;
      if (this.ask && this.scroller.isConnected) this.draw();
    });
  }

  // update takes in that the request has changed.
  update() {
    const n = this.ask.traces.length;
    if (this.rows !== n) {
      this.rows = n;
      this.layout();
    }
    this.ask.range.update();
    this.legend.update(this.ask, this.range || this.ask.range);
    if (this.at >= 0 && document.activeElement === this.scroller) set(this.cursor, this.describe(this.at));
    this.mark();
  }

  draw() {
    const scale = devicePixelRatio || 1, width = this.scroller.clientWidth, height = this.height;
    if (width === 0) return;
    const W = Math.round(width * scale), H = Math.round(height * scale);
    if (this.canvas.width !== W || this.canvas.height !== H) {
      this.canvas.width = W;
      this.canvas.height = H;
      this.canvas.style.width = width + "px";
      this.canvas.style.height = height + "px";
    }
    const ink = (name) => this.inks[name];
    if (!this.inks) this.inks = colours();
    const c = this.canvas.getContext("2d");
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.fillStyle = ink("--plot");
    c.fillRect(0, 0, width, height);
    const traces = this.ask.traces, s = this.ask.threshold;
    this.fit();
    const span = width - gutter - this.labels, offset = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor((offset - 1) / this.row)), last = Math.min(traces.length, Math.ceil((offset + height - top) / this.row));
    this.strips(c, first, last, span, offset, scale, s);
    this.axis(c, span, width, ink);
    c.font = `${Math.min(12, Math.max(9, this.row - 2))}px system-ui, sans-serif`;
    c.textBaseline = "middle";
    for (let i = first; i < last; i++) this.label(c, i, top + i * this.row - offset, span, width, ink, s);
  }

  // fit chooses how many tokens the width stands for: seldom another number.
  fit() {
    let most = this.least || 16;
    for (const t of this.ask.traces) most = Math.max(most, t.groups.length, t.tokens);
    const step = nice(most / 8);
    const want = Math.ceil(most / step) * step;
    if (want > this.xmax || want < this.xmax / 2) this.xmax = want;
  }

  // strips fills in the colours of the rows in view, as pixels.
  strips(c, first, last, span, offset, scale, s) {
    const w = Math.max(1, Math.round(span * scale)), tall = Math.round((this.height - top) * scale);
    if (tall <= 0) return;
    if (!this.pixels || this.pixels.width !== w || this.pixels.height !== tall) {
      this.pixels = c.createImageData(w, tall);
      this.words = new Uint32Array(this.pixels.data.buffer);
    }
    const words = this.words, range = this.range || this.ask.range;
    const gap = Math.max(1, Math.round(scale)), line = Math.max(1, Math.round(this.row > 12 ? 2 * scale : scale));
    words.fill(0);
    for (let i = first; i < last; i++) {
      const r = this.lines.line(this.ask.traces[i], w, this.xmax, range, s);
      const bottom = Math.round(((i + 1) * this.row - offset) * scale) - gap;
      const from = Math.max(0, Math.round((i * this.row - offset) * scale)), to = Math.min(tall, bottom);
      for (let y = from; y < to; y++) words.set((y < bottom - line ? r.over : r.under).subarray(0, r.end), y * w);
    }
    // Pixels are put as they are, without mixing: through a second canvas, so that the
    // background stays where there is no strip.
    if (!this.second) this.second = document.createElement("canvas");
    if (this.second.width !== w || this.second.height !== tall) {
      this.second.width = w;
      this.second.height = tall;
    }
    this.second.getContext("2d").putImageData(this.pixels, 0, 0);
    c.drawImage(this.second, 0, 0, w, tall, gutter, top, w / scale, tall / scale);
  }

  axis(c, span, width, ink) {
    c.fillStyle = ink("--bg");
    c.fillRect(0, 0, width, top - 1);
    c.fillStyle = ink("--soft");
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    const step = nice(this.xmax / Math.max(2, Math.floor(span / 90)));
    for (let v = 0; v <= this.xmax; v += step) {
      const x = gutter + (v / this.xmax) * span;
      c.textAlign = v === 0 ? "left" : "center";
      c.fillText(short(v) + (v === 0 ? " tokens" : ""), x, top / 2 - 1);
      c.fillRect(Math.round(x), top - 4, 1, 3);
    }
  }

  label(c, i, y, span, width, ink, s) {
    const t = this.ask.traces[i], head = t.head, mid = y + (this.row - 1) / 2;
    if (i === this.opened || (i === this.at && document.activeElement === this.scroller)) {
      c.strokeStyle = i === this.at && document.activeElement === this.scroller ? ink("--s0") : ink("--fg");
      c.lineWidth = 2;
      c.strokeRect(1, y - 0.5, width - 2, this.row);
    }
    const words = this.row >= 11, x = gutter + (Math.max(t.groups.length, t.groups.length ? 0 : t.tokens) / this.xmax) * span;
    if (!t.groups.length && t.tokens) { // without log-probabilities a strip has a length and no colours
      c.fillStyle = ink("--line");
      c.fillRect(gutter, y, x - gutter, this.row - 1);
    }
    c.textAlign = "right";
    c.fillStyle = ink("--soft");
    if (words || i % 10 === 0) c.fillText(String(i), gutter - 6, mid);
    if (head.state === "stopped") {
      c.fillStyle = head.reason === "low_confidence" ? ink("--s1") : ink("--soft");
      c.fillRect(x, y - 0.5, 3, this.row);
    } else if (head.state === "running" && t.tokens) {
      c.fillStyle = ink("--fg");
      c.fillRect(x, y, 1.5, this.row - 1);
    }
    if (!words) {
      if (head.state === "finished") {
        c.fillStyle = head.votes ? ink("--fg") : ink("--line"); // as mark
        c.fillRect(x + 2, y + 1, 3, this.row - 3);
      }
      return;
    }
    c.textAlign = "left";
    c.fillStyle = head.state === "finished" && head.votes !== false ? ink("--fg") : ink("--soft");
    const room = this.labels - 12, text = endLabel(t, s);
    c.fillText(fitText(c, text, Math.max(room, width - x - 12)), Math.min(x + 8, width - this.labels + 6), mid);
  }

  rowAt(e) {
    const box = this.canvas.getBoundingClientRect(), y = e.clientY - box.top;
    if (y < top) return -1;
    const n = Math.floor((y - top + this.scroller.scrollTop) / this.row);
    return n < this.ask.traces.length ? n : -1;
  }

  hover(e) {
    const n = this.rowAt(e);
    this.canvas.style.cursor = n < 0 ? "" : "pointer";
    if (n < 0 || e.pointerType === "touch") {
      this.tip.hidden = true;
      return;
    }
    const box = this.canvas.getBoundingClientRect(), t = this.ask.traces[n];
    const span = box.width - gutter - this.labels, k = Math.floor(((e.clientX - box.left - gutter) / span) * this.xmax);
    let text = this.describe(n);
    if (k >= 0 && k < t.groups.length) text = `trace ${n}, token ${short(k + 1)}: group confidence ${num(t.groups.room[k])}`;
    set(this.tip, text);
    this.tip.hidden = false;
    this.tip.style.left = Math.min(e.clientX + 12, innerWidth - this.tip.offsetWidth - 8) + "px";
    this.tip.style.top = e.clientY + 16 + "px";
  }

  // describe is a row in words.
  describe(n) {
    const t = this.ask.traces[n], head = t.head;
    if (head.state === "absent") return `trace ${n}, not launched`;
    let text = `trace ${n}, ${head.phase === "warmup" ? "warm-up, " : ""}${t.tokens} tokens, ${reason(head.reason)}`;
    if (head.answer !== undefined) text += `, answer ${cut(oneLine(head.answer), 60)}`;
    if (head.excluded) text += `, does not vote: it ${why(head.excluded)}`;
    return text;
  }

  key(e) {
    const n = this.ask ? this.ask.traces.length : 0, page = Math.max(1, Math.floor((this.height - top) / this.row) - 1);
    const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, Home: 0, End: n - 1, PageDown: this.at + page, PageUp: this.at - page }[e.key];
    if (to !== undefined && n) {
      e.preventDefault();
      this.move(Math.max(0, Math.min(n - 1, to)));
    } else if ((e.key === "Enter" || e.key === " ") && this.at >= 0 && this.at < n) {
      e.preventDefault();
      this.open(this.at);
    }
  }

  move(n) {
    if (!this.ask || n < 0 || n >= this.ask.traces.length) return;
    this.at = n;
    const y = n * this.row, view = this.height - top;
    if (y < this.scroller.scrollTop) this.scroller.scrollTop = y;
    if (y + this.row > this.scroller.scrollTop + view) this.scroller.scrollTop = y + this.row - view;
    set(this.cursor, this.describe(n));
    this.scroller.setAttribute("aria-activedescendant", this.cursor.id);
    this.mark();
  }

  select(n) {
    this.opened = n;
    this.mark();
  }
}

// colours are the theme's: asking for them makes the browser compute styles, so it is
// done once a theme.
function colours() {
  const style = getComputedStyle(document.documentElement), out = {};
  for (const name of ["--bg", "--fg", "--soft", "--line", "--plot", "--s0", "--s1"]) out[name] = style.getPropertyValue(name).trim();
  return out;
}

// endLabel is what stands behind a strip.
function endLabel(t, s) {
  const head = t.head;
  if (head.state === "absent") return "not launched";
  if (head.state === "running") return t.tokens ? "" : "waiting";
  if (head.reason === "low_confidence") return "✂ " + below(head.group, head.s ?? s);
  if (head.reason === "upstream_error") return "✗ failed";
  if (head.state === "stopped") return "– " + String(head.reason).replaceAll("_", " ");
  if (head.answer === undefined) return head.cut ? "… cut by the run" : "✗ no answer";
  return mark(head) + " " + cut(oneLine(head.answer), 40);
}

// mark says whether a trace votes. A warm-up's vote is open until all have ended.
const mark = (head) => (head.votes === undefined ? "◌" : head.votes ? "●" : "○");

// below writes two numbers with as many decimals as tell them apart.
function below(group, s) {
  let digits = 2;
  while (digits < 9 && num(group, digits) === num(s, digits)) digits++;
  return `${num(group, digits)} < ${num(s, digits)}`;
}

function fitText(c, text, width) {
  if (c.measureText(text).width <= width) return text;
  let n = text.length;
  while (n > 1 && c.measureText(text.slice(0, n) + "…").width > width) n--;
  return text.slice(0, n) + "…";
}

// Legend is the scale of colours, with the threshold in it.
class Legend {
  constructor() {
    this.bar = h("canvas", { width: shades, height: 1, class: "legend-bar", "aria-hidden": "true" });
    const c = this.bar.getContext("2d");
    for (let i = 0; i < shades; i++) {
      c.fillStyle = css(i);
      c.fillRect(i, 0, 1, 1);
    }
    this.lo = h("span");
    this.hi = h("span");
    this.mark = h("i", { class: "legend-mark", hidden: true });
    this.s = h("span", { class: "legend-s" });
    this.element = h("div", { class: "legend" }, h("span", {}, "group confidence"), this.lo, h("span", { class: "legend-scale" }, this.bar, this.mark), this.hi, this.s);
  }
  update(ask, r) {
    const s = ask.threshold, has = r.hi > r.lo;
    this.element.hidden = !has && !ask.running; // without log-probabilities there are no colours
    set(this.lo, has ? num(r.lo, r.hi - r.lo < 2 ? 2 : 1) : "–");
    set(this.hi, has ? num(r.hi, r.hi - r.lo < 2 ? 2 : 1) : "–");
    this.mark.hidden = !has || s === null;
    if (!this.mark.hidden) this.mark.style.left = Math.max(0, Math.min(100, (100 * (s - r.lo)) / (r.hi - r.lo))) + "%";
    set(this.s, s === null ? "" : `threshold ${num(s)}; underlined where below`);
  }
}
