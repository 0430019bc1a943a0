// How numbers, times and reasons are written.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

// count writes a number of tokens or traces: 12,345.
export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));

// short writes large counts in few characters: 12.3k.
export function short(n) {
  if (n === null || n === undefined) return "–";
  if (Math.abs(n) < 10000) return whole.format(n);
  if (Math.abs(n) < 1e6) return trim((n / 1e3).toFixed(n < 1e5 ? 1 : 0)) + "k";
  return trim((n / 1e6).toFixed(2)) + "M";
}

const trim = (s) => (s.includes(".") ? s.replace(/\.?0+$/, "") : s);

// num writes a measurement with so many decimals.
export function num(v, digits = 3) {
  return v === null || v === undefined || !Number.isFinite(v) ? "–" : v.toFixed(digits);
}

// sig writes a number with about four digits that count, of whatever size.
export function sig(v) {
  if (v === null || v === undefined || !Number.isFinite(v)) return "–";
  if (v === 0) return "0";
  const a = Math.abs(v);
  if (a >= 1e6 || a < 1e-4) return v.toExponential(2);
  if (Number.isInteger(v)) return whole.format(v);
  return String(Number(v.toPrecision(4)));
}

export const percent = (v, digits = 0) => (v === null || v === undefined || !Number.isFinite(v) ? "–" : (100 * v).toFixed(digits) + " %");

// seconds writes a duration: 0.8 s, 12.4 s, 3 min 05 s, 2 h 10 min.
export function seconds(s) {
  if (s === null || s === undefined || !Number.isFinite(s)) return "–";
  if (s < 60) return s.toFixed(1) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + String(Math.floor(s % 60)).padStart(2, "0") + " s";
  return Math.floor(s / 3600) + " h " + String(Math.floor((s % 3600) / 60)).padStart(2, "0") + " min";
}

// when writes a time: of day if it was today.
export function when(t) {
  const d = new Date(t);
  if (Number.isNaN(d.getTime())) return "–";
  const time = d.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return d.toDateString() === new Date().toDateString() ? time : d.toLocaleDateString("en-CA") + " " + time.slice(0, 5);
}

const reasons = {
  eos: "ended by itself",
  stop_string: "met a stop string",
  length: "reached its token limit",
  low_confidence: "stopped: confidence fell below the threshold",
  consensus: "stopped: enough others agreed",
  token_budget: "stopped: the token budget is spent",
  deadline: "stopped: the deadline passed",
  client_cancelled: "stopped by whoever asked",
  upstream_error: "failed at the model's server",
};
// reason says in words why a trace ended.
export const reason = (r) => reasons[r] || (r ? String(r).replaceAll("_", " ") : "running");

const excluded = {
  low_confidence: "was stopped for low confidence",
  below_threshold: "is below the threshold",
  no_answer: "has no answer",
  unscored: "has no log-probabilities",
  cancelled: "was cancelled",
  error: "failed",
};
// why says why a trace does not vote.
export const why = (x) => excluded[x] || (x ? String(x).replaceAll("_", " ") : "");

// cut shortens a text to n characters.
export function cut(s, n) {
  const t = [...String(s).slice(0, 2 * n + 2)];
  return t.length <= n ? t.join("") : t.slice(0, n - 1).join("") + "…";
}

// oneLine is a text without line breaks, for labels.
export const oneLine = (s) => String(s).replace(/\s+/g, " ").trim();
