// The one event stream. It is read by fetch and not by EventSource, because that
// cannot send a key. A stream that breaks is opened again where it broke: the server
// names a place with every event, and sends what has come since, or the whole state.

import { headers, failure } from "./api.js";

const listeners = new Map(); // topic → Set of {frame(body, whole)}
const quiet = 40000; // ms: more than two heartbeats without a byte is a dead connection
let place = ""; // the server's, of the last event
let open = null; // {abort, topics}
let planned = 0;
let wait = 0; // ms before the next try
let status = () => {};

// onStatus calls f("live" | "joining" | "lost", detail) when the connection changes.
export function onStatus(f) {
  status = f;
}

// watch calls f(body, whole) for each frame of a topic, the first of them whole. It
// returns how to stop.
export function watch(topic, f) {
  const known = listeners.get(topic);
  if (known) {
    // It would have to be sent from its beginning again, for this listener.
    known.add(f);
    forget(topic);
  } else {
    listeners.set(topic, new Set([f]));
    forget(topic);
  }
  plan();
  return () => {
    const set = listeners.get(topic);
    if (!set || !set.delete(f)) return;
    if (set.size === 0) {
      listeners.delete(topic);
      forget(topic);
      plan();
    }
  };
}

// forget makes the server send the whole of a topic next time.
function forget(topic) {
  if (!place) return;
  const at = new URLSearchParams(place);
  at.delete(topic);
  place = at.toString();
}

// plan opens the stream anew once everything that a change of view watches is known.
function plan() {
  clearTimeout(planned);
  planned = setTimeout(join, 0);
}

// again joins at once. With a new key everything is to be told anew.
export function again(anew) {
  if (anew) place = "";
  wait = 0;
  plan();
}

async function join() {
  if (open) open.abort.abort();
  open = null;
  const topics = [...listeners.keys()];
  if (topics.length === 0) return;
  const me = { abort: new AbortController() };
  open = me;
  status("joining");
  let timer = 0, after = 0, why = "trying again";
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => me.abort.abort(), quiet);
  };
  try {
    const query = new URLSearchParams(topics.map((t) => ["watch", t]));
    const r = await fetch("/api/events?" + query, { headers: headers(place ? { "Last-Event-ID": place } : {}), signal: me.abort.signal, cache: "no-store" });
    if (!r.ok) throw await failure(r);
    status("live");
    wait = 0;
    alive();
    await read(r.body.getReader(), alive, me);
  } catch (e) {
    if (open === me && e.status === 401) {
      clearTimeout(timer);
      status("lost", "a key is wanted");
      return; // signing in joins again
    }
    if (e.after) { // there is no place for this stream now
      after = e.after * 1000;
      why = e.status === 429 ? "too many pages with this key" : "too many pages";
    }
  }
  clearTimeout(timer);
  if (open !== me) return;
  wait = Math.max(after, Math.min(10000, wait ? wait * 2 : 300));
  status("lost", why);
  setTimeout(() => {
    if (open === me) join();
  }, wait * (0.75 + Math.random() / 2)); // not all pages at the same moment
}

// read parses server-sent events: lines "id:" and "data:", an empty line ends one.
async function read(reader, alive, me) {
  const decoder = new TextDecoder();
  let rest = [], id = "", data = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    let text = decoder.decode(value, { stream: true });
    for (;;) {
      const end = text.indexOf("\n");
      if (end < 0) break;
      const line = rest.join("") + text.slice(0, end);
      rest = [];
      text = text.slice(end + 1);
      if (line === "") {
        if (data && open === me) deliver(id, data);
        data = "";
      } else if (line.startsWith("data: ")) data += line.slice(6);
      else if (line.startsWith("id: ")) id = line.slice(4);
    }
    if (text) rest.push(text); // of a long line: joined once
  }
}

function deliver(id, data) {
  const frame = JSON.parse(data);
  if (id) place = id;
  for (const f of listeners.get(frame.topic) || []) f(frame.body, frame.whole);
}

// A laptop that wakes up should not wait for its timer.
addEventListener("online", () => again(false));
