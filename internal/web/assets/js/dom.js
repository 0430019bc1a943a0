// Elements are made here and nowhere else. Whatever is not an element becomes a text
// node, so nothing that a model or a file says can turn into markup.

const svgNames = new Set(["svg", "path", "line", "circle", "rect", "text", "g"]);

// h makes an element. Of props, "class", "text", "on*", "data" and "aria" are special;
// others are attributes, or left out where null or false.
export function h(tag, props, ...children) {
  const e = svgNames.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k === "class") e.setAttribute("class", v);
    else if (k === "text") e.textContent = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k === "data") Object.assign(e.dataset, v);
    else if (k === "aria") for (const [a, b] of Object.entries(v)) e.setAttribute("aria-" + a, b);
    else if (k === "value" || k === "checked" || k === "disabled" || k === "hidden" || k === "open") e[k] = v;
    else e.setAttribute(k, v === true ? "" : v);
  }
  put(e, children);
  return e;
}

// put appends children: elements, texts, lists of them, or nothing.
export function put(e, children) {
  for (const c of children.flat(Infinity)) {
    if (c === null || c === undefined || c === false) continue;
    e.append(c instanceof Node ? c : document.createTextNode(String(c)));
  }
  return e;
}

// set changes an element's text only where it differs, so that nothing is laid out
// again, and no screen reader disturbed, for nothing.
export function set(e, text) {
  text = text === null || text === undefined ? "" : String(text);
  if (e.textContent !== text) e.textContent = text;
}

// show hides or shows.
export function show(e, on) {
  if (e.hidden === !!on) e.hidden = !on;
}

// button is a button that does f.
export function button(label, f, props) {
  return h("button", { type: "button", onclick: f, ...props }, label);
}

let said = "", timer = 0;

// say tells screen readers something, at most every two seconds: the last news win.
export function say(text) {
  said = text;
  if (timer) return;
  const tell = () => {
    timer = 0;
    const live = document.getElementById("live");
    if (live && live.textContent !== said) live.textContent = said;
  };
  timer = setTimeout(tell, 400);
}

// typing reports a key that goes into a field.
export const typing = (e) => e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
