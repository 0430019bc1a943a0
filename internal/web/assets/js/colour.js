// The colours of confidence: viridis, as in reports. It goes from dark to bright, so
// that it can be read in grey and by colour-blind eyes.

const stops = [[68, 1, 84], [72, 40, 120], [62, 73, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
export const shades = 256;

// table has each shade as ImageData wants it in memory: little-endian ABGR.
export const table = new Uint32Array(shades);
for (let i = 0; i < shades; i++) {
  const at = (i / (shades - 1)) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2), f = at - k;
  const [r, g, b] = stops[k].map((v, c) => Math.round(v + (stops[k + 1][c] - v) * f));
  table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
}

// css is a shade for CSS.
export function css(i) {
  const v = table[Math.max(0, Math.min(shades - 1, i))];
  return `rgb(${v & 255},${(v >> 8) & 255},${(v >> 16) & 255})`;
}

// Range is what the colours stand for: the values between the 2nd and the 98th percentile
// so far, widened only, and to round numbers, so that colours seldom change while
// traces grow.
export class Range {
  constructor() {
    this.bins = new Uint32Array(2048); // of log2(1+v), 0 to 100 and beyond
    this.n = 0;
    this.lo = NaN;
    this.hi = NaN;
  }
  add(values, from = 0) {
    for (let i = from; i < values.length; i++) {
      this.bins[Math.min(2047, Math.floor(Math.log2(1 + values[i]) * 256))]++;
      this.n++;
    }
  }
  // update reports whether the range has changed.
  update() {
    if (this.n < 2) return false;
    const at = (share) => {
      let left = share * this.n;
      for (let i = 0; i < 2048; i++) if ((left -= this.bins[i]) <= 0) return 2 ** ((i + 0.5) / 256) - 1;
      return 2 ** 8 - 1;
    };
    const a = at(0.02), b = at(0.98), step = nice((b - a) / 8);
    let lo = Math.max(0, Math.floor(a / step) * step), hi = Math.ceil(b / step) * step;
    if (hi <= lo) hi = lo + step;
    if (lo >= this.lo && hi <= this.hi && hi - lo > (this.hi - this.lo) * 0.6) return false;
    if (lo === this.lo && hi === this.hi) return false;
    this.lo = lo;
    this.hi = hi;
    return true;
  }
  shade(v) {
    const t = (v - this.lo) / (this.hi - this.lo);
    return t <= 0 ? 0 : t >= 1 ? shades - 1 : Math.round(t * (shades - 1));
  }
}

// nice is the least of 1, 2 or 5 times a power of ten that is at least v.
export function nice(v) {
  if (!(v > 0)) return 1e-3;
  const p = 10 ** Math.floor(Math.log10(v)), m = v / p;
  return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * p;
}
