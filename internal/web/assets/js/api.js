// Requests to the server, and the key that they carry.

const store = "orrery-key";

// The key lives as long as the tab: sessionStorage is not shared with other sites and
// is gone when the tab is closed.
let key = sessionStorage.getItem(store) || "";

export function headers(more) {
  return key ? { ...more, Authorization: "Bearer " + key } : { ...more };
}

export function setKey(value) {
  key = value.trim();
  if (key) sessionStorage.setItem(store, key);
  else sessionStorage.removeItem(store);
}

export const hasKey = () => key !== "";

// Failure is an error with what the server said, and after how many seconds to try again.
export class Failure extends Error {
  constructor(status, message, after = 0) {
    super(message);
    this.status = status;
    this.after = after;
  }
}

const unsigned = [];
// onUnsigned calls f when the server wants a key.
export const onUnsigned = (f) => unsigned.push(f);

// failure reads what a reply says went wrong.
export async function failure(r) {
  let message = "the server answered with status " + r.status;
  try {
    const body = await r.json();
    if (body.error && body.error.message) message = body.error.message;
  } catch {
    // no JSON: the status has to do
  }
  if (r.status === 401) for (const f of unsigned) f(hasKey());
  return new Failure(r.status, message, Number(r.headers.get("Retry-After")) || 0);
}

// call makes a request and returns the reply's object, or null where there is none.
export async function call(path, options = {}) {
  const init = { method: options.method || "GET", headers: headers(), signal: options.signal };
  if (options.body !== undefined) {
    init.method = options.method || "POST";
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  let r;
  try {
    r = await fetch(path, init);
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Failure(0, "the server cannot be reached; it may have ended");
  }
  if (!r.ok) throw await failure(r);
  return r.status === 204 ? null : r.json();
}
