// Curves, by uPlot (vendor/), in the page's colours.

import uPlot from "/assets/vendor/uPlot.esm.js";
import { h } from "./dom.js";
import { sig, short } from "./format.js";

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Chart draws series over a common x. Options: series [{label, colour: "--s0", width, dash,
// band}], height, x and y labels, log, lines(): [{y, label, colour}], marks(): [{x, colour}].
export class Chart {
  constructor(options) {
    this.options = options;
    this.element = h("div", { class: "chart", role: "img", "aria-label": options.label || "chart" });
    this.data = null;
    this.plot = null;
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.element);
    this.rebuild = () => this.build();
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.rebuild);
    document.addEventListener("orrery-theme", this.rebuild);
  }

  close() {
    this.watcher.disconnect();
    this.scheme.removeEventListener("change", this.rebuild);
    document.removeEventListener("orrery-theme", this.rebuild);
    if (this.plot) this.plot.destroy();
    this.plot = null;
  }

  // set gives new data: [x, y, y, …], each as long as the first; null is no value.
  set(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else this.build();
  }

  redraw() {
    if (this.plot) this.plot.redraw(false);
  }

  resize() {
    const w = this.element.clientWidth;
    if (!this.plot) this.build();
    else if (w > 0 && Math.abs(w - this.plot.width) > 1) this.plot.setSize({ width: w, height: this.options.height || 200 });
  }

  build() {
    const o = this.options, width = this.element.clientWidth;
    if (!this.data || width === 0) return;
    if (this.plot) this.plot.destroy();
    const axis = { stroke: ink("--soft"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line"), size: 4 }, font: "11px system-ui, sans-serif" };
    this.plot = new uPlot(
      {
        width,
        height: o.height || 200,
        pxAlign: false,
        legend: { show: o.legend !== false, live: true },
        cursor: { drag: { x: true, y: false }, points: { size: 5 }, sync: o.sync ? { key: o.sync } : undefined },
        scales: { x: { time: false, distr: o.logX ? 3 : 1 }, y: o.log ? { distr: 3 } : { range: (_, lo, hi) => this.range(lo, hi) } },
        axes: [
          { ...axis, size: o.x ? 34 : 24, label: o.x, labelFont: "11px system-ui, sans-serif", labelSize: 12, values: (_, v) => v.map((x) => (x === null ? "" : short(x))) },
          { ...axis, size: 52, splits: o.percent ? () => [0, 0.25, 0.5, 0.75, 1] : undefined, values: (_, v) => v.map((y) => (y === null ? "" : o.percent ? Math.round(100 * y) + " %" : sig(y))) },
        ],
        series: [{ label: o.x || "x", value: (_, v) => (v === null ? "–" : short(v)) }].concat(
          o.series.map((s) => ({ label: s.label, stroke: ink(s.colour), width: s.width || 1.5, dash: s.dash, spanGaps: true, points: { show: false }, paths: s.step ? uPlot.paths.stepped({ align: 1 }) : undefined, value: (_, v) => (v === null || v === undefined ? "–" : sig(v)) })),
        ),
        hooks: { draw: [(u) => this.extras(u)] },
      },
      this.data,
      this.element,
    );
  }

  // range is what is drawn of the y axis: the values and the lines that are near them.
  range(lo, hi) {
    if (lo === null) return [0, 1];
    const o = this.options;
    if (o.range) return o.range;
    if (o.zero) return [Math.min(0, lo), Math.max(1, hi)];
    for (const { y } of o.lines ? o.lines() : []) {
      const span = Math.max(hi - lo, 1e-9);
      if (y > lo - 2 * span && y < hi + 2 * span) [lo, hi] = [Math.min(lo, y), Math.max(hi, y)];
    }
    const margin = (hi - lo) * 0.06 || Math.abs(hi) * 0.1 || 1;
    return [lo - margin, hi + margin];
  }

  // extras draws thresholds as dashed lines and moments as vertical ones.
  extras(u) {
    const c = u.ctx, box = u.bbox, o = this.options, scale = devicePixelRatio || 1;
    c.save();
    c.font = `${11 * scale}px system-ui, sans-serif`;
    for (const l of o.lines ? o.lines() : []) {
      const y = u.valToPos(l.y, "y", true);
      if (!(y >= box.top && y <= box.top + box.height)) continue;
      c.strokeStyle = c.fillStyle = ink(l.colour || "--fg");
      c.lineWidth = 1.3 * scale;
      c.setLineDash([4 * scale, 4 * scale]);
      c.beginPath();
      c.moveTo(box.left, y);
      c.lineTo(box.left + box.width, y);
      c.stroke();
      c.textAlign = "right";
      if (l.label) c.fillText(l.label, box.left + box.width - 4 * scale, y - 4 * scale);
    }
    c.setLineDash([]);
    for (const m of o.marks ? o.marks() : []) {
      const x = u.valToPos(m.x, "x", true);
      if (!(x >= box.left && x <= box.left + box.width + 1)) continue;
      c.strokeStyle = ink(m.colour || "--s1");
      c.lineWidth = 2 * scale;
      c.beginPath();
      c.moveTo(x, box.top);
      c.lineTo(x, box.top + box.height);
      c.stroke();
    }
    c.restore();
  }
}
