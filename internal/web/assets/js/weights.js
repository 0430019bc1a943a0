// Weights as they form: the matrices of a net at the epochs that its training keeps,
// as heat maps. Blue is negative and red positive, as in reports.

import { h, set, show } from "./dom.js";
import { sig, count } from "./format.js";

const stops = [[33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247], [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43]];
const palette = new Uint32Array(256); // by byte: an int8
for (let i = 0; i < 256; i++) {
  const v = ((i << 24) >> 24) / 127, at = ((Math.max(-1, v) + 1) / 2) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2), f = at - k;
  const [r, g, b] = stops[k].map((c, j) => Math.round(c + (stops[k + 1][j] - c) * f));
  palette[i] = (255 << 24) | (b << 16) | (g << 8) | r;
}

export class Weights {
  // load(epoch) is a promise of that epoch's matrices.
  constructor(load) {
    this.load = load;
    this.epochs = [];
    this.known = new Map(); // the last few that were loaded
    this.follow = true;
    this.turn = 0;
    this.slider = h("input", { type: "range", min: "0", value: "0", "aria-label": "Epoch", oninput: () => {
      this.follow = Number(this.slider.value) === this.epochs.length - 1;
      this.show();
    } });
    this.epoch = h("output", {});
    this.maps = h("div", { class: "maps" });
    this.note = h("p", { class: "wrong" });
    this.element = h("section", { class: "panel", "aria-label": "Weights as they form", hidden: true },
      h("div", { class: "panel-head" }, h("h2", {}, "Weights as they form"), h("label", { class: "check slide" }, "epoch", this.slider, this.epoch)), this.note, this.maps);
  }

  apply(epochs) {
    if (!epochs.length || epochs.join() === this.epochs.join()) return;
    const at = this.epochs[Number(this.slider.value)];
    this.epochs = epochs;
    show(this.element, true);
    this.slider.max = String(epochs.length - 1);
    const keep = epochs.indexOf(at);
    this.slider.value = String(this.follow || keep < 0 ? epochs.length - 1 : keep);
    this.show();
  }

  async show() {
    const epoch = this.epochs[Number(this.slider.value)], mine = ++this.turn;
    set(this.epoch, count(epoch));
    this.slider.setAttribute("aria-valuetext", "epoch " + epoch);
    try {
      let all = this.known.get(epoch);
      if (!all) {
        all = (await this.load(epoch)).matrices;
        this.known.set(epoch, all);
        if (this.known.size > 40) this.known.delete(this.known.keys().next().value);
      }
      if (mine !== this.turn) return; // the slider has moved on
      set(this.note, "");
      this.draw(all, epoch);
    } catch (e) {
      if (mine === this.turn) set(this.note, e.message);
    }
  }

  draw(all, epoch) {
    this.maps.replaceChildren(...all.slice(0, 6).map((m) => {
      // The longer side lies: a page is wider than high.
      const side = m.rows > m.cols, w = side ? m.rows : m.cols, tall = side ? m.cols : m.rows;
      const canvas = h("canvas", { width: w, height: tall, class: "map", role: "img", "aria-label": `${m.name} at epoch ${epoch}, ${m.rows} rows and ${m.cols} columns, values up to ${sig(m.scale)}` });
      const raw = atob(m.data), image = new ImageData(w, tall), px = new Uint32Array(image.data.buffer);
      const at = (x, y) => (side ? x * m.cols + y : y * m.cols + x);
      for (let y = 0; y < tall; y++) for (let x = 0; x < w; x++) px[y * w + x] = palette[raw.charCodeAt(at(x, y))];
      canvas.getContext("2d").putImageData(image, 0, 0);
      canvas.addEventListener("pointermove", (e) => {
        const x = Math.min(w - 1, Math.floor((e.offsetX / canvas.clientWidth) * w)), y = Math.min(tall - 1, Math.floor((e.offsetY / canvas.clientHeight) * tall));
        canvas.title = `row ${side ? x : y}, column ${side ? y : x}: ${sig((((raw.charCodeAt(at(x, y)) << 24) >> 24) / 127) * m.scale)}`;
      });
      return h("figure", {}, h("figcaption", {}, h("b", {}, m.name), ` ${m.rows} × ${m.cols}${m.rows > m.cols ? " on its side" : ""}, −${sig(m.scale)} `, h("span", { class: "scale" }), ` ${sig(m.scale)}`), canvas);
    }));
  }

  close() {
    this.turn++;
  }
}
