// A request as the stream tells it. Frames say what changed; applying one twice does
// no harm.

import { Range } from "./colour.js";

// Groups is a list of float32 that grows.
class Groups {
  constructor() {
    this.room = new Float32Array(256);
    this.length = 0;
  }
  get values() {
    return this.room.subarray(0, this.length);
  }
  write(at, packed) {
    const raw = atob(packed), n = raw.length >> 2;
    if (at > this.length) return false; // a frame is missing: the next whole state mends it
    while (this.room.length < at + n) {
      const wider = new Float32Array(this.room.length * 2);
      wider.set(this.room.subarray(0, this.length));
      this.room = wider;
    }
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < n; i++) this.room[at + i] = view.getFloat32(4 * i, true);
    this.length = at + n;
    return true;
  }
}

export class Trace {
  constructor(n) {
    this.n = n;
    this.head = { phase: "", state: "running" };
    this.tokens = 0;
    this.groups = new Groups();
    this.version = 0; // of what is drawn
  }
}

export class Ask {
  constructor() {
    this.reset();
  }
  reset() {
    this.head = null;
    this.traces = [];
    this.votes = [];
    this.unvoted = false; // how the vote shifted is not known
    this.warnings = [];
    this.used = 0;
    this.saved = null;
    this.gone = false;
    this.range = new Range();
  }
  // apply takes a frame in and returns the numbers of the traces that changed.
  apply(f, whole) {
    if (whole) this.reset();
    if (f.gone) {
      this.gone = true;
      return [];
    }
    if (f.head) this.head = f.head;
    this.used = f.used;
    this.saved = f.saved;
    if (f.warnings) this.warnings = f.warnings;
    if (f.no_votes) this.unvoted = true;
    if (f.votes) this.votes = this.votes.slice(0, f.votes_at).concat(f.votes);
    const changed = [];
    for (const t of f.traces || []) {
      while (this.traces.length <= t.n) this.traces.push(new Trace(this.traces.length));
      const mine = this.traces[t.n];
      mine.tokens = t.tokens;
      if (t.head) mine.head = t.head;
      if (t.groups) {
        const from = t.at;
        mine.groups.write(t.at, t.groups);
        this.range.add(mine.groups.values, from);
      }
      mine.version++;
      changed.push(t.n);
    }
    return changed;
  }
  // threshold is s, once it is known, given or measured.
  get threshold() {
    const h = this.head;
    if (!h) return null;
    if (h.calibrated) return h.calibrated.s;
    if (h.started && h.started.threshold !== undefined) return h.started.threshold;
    return h.result && h.result.s !== null ? h.result.s : null;
  }
  get window() {
    const h = this.head;
    if (!h) return null;
    if (h.calibrated) return h.calibrated.window;
    if (h.result && h.result.window) return h.result.window;
    return h.started ? h.started.window : null;
  }
  get running() {
    return !!this.head && (this.head.state === "running" || this.head.state === "waiting");
  }
  get vote() {
    return this.votes.length ? this.votes[this.votes.length - 1] : null;
  }
  tally() {
    const n = { running: 0, stopped: 0, finished: 0, cut: 0, failed: 0 };
    for (const t of this.traces) {
      if (t.head.state === "running") n.running++;
      else if (t.head.reason === "low_confidence") n.stopped++;
      else if (t.head.reason === "upstream_error") n.failed++;
      else if (t.head.state === "stopped") n.cut++;
      else n.finished++;
    }
    return n;
  }
}
