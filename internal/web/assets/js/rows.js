// The pixels of a strip. Where several groups share a pixel it shows the least
// confident: that is the one which decides.

import { table } from "./colour.js";

const red = 0xff005ed5; // #d55e00, as ImageData has it

export class Rows {
  constructor() {
    this.known = new WeakMap(); // by trace: what was made of it last
  }

  // line is a trace as a row of w pixels that stand for xmax groups: over, the row, and
  // under, the row with red where a group is below s. It is made anew only when the
  // trace or its scale has changed, so that scrolling is copying.
  line(t, w, xmax, range, s) {
    const key = `${w} ${xmax} ${range.lo} ${range.hi} ${s} ${t.version}`;
    let r = this.known.get(t);
    if (r && r.key === key) return r;
    if (!r || r.over.length !== w) r = { over: new Uint32Array(w), under: new Uint32Array(w) };
    r.key = key;
    const g = t.groups.room, n = t.groups.length, per = xmax / w;
    r.end = Math.min(w, Math.ceil(n / per));
    for (let x = 0; x < r.end; x++) {
      const from = Math.floor(x * per), to = Math.min(n, Math.max(from + 1, Math.floor((x + 1) * per)));
      let low = Infinity;
      for (let k = from; k < to; k++) if (g[k] < low) low = g[k];
      r.over[x] = low === Infinity ? (x ? r.over[x - 1] : 0) : table[range.shade(low)];
      r.under[x] = s !== null && low < s ? red : r.over[x];
    }
    this.known.set(t, r);
    return r;
  }
}
