// Long texts that a model wrote, shown without making the browser lay out a megabyte.

import { h, set, show, button } from "./dom.js";
import { count } from "./format.js";

const most = 60000; // characters that are shown unasked: the first and the last half

// LongText shows a text that may grow.
export class LongText {
  constructor(label) {
    this.bytes = 0; // as the stream counts, which is in bytes
    this.text = "";
    this.all = false;
    this.growing = false; // then its end is kept in view
    this.head = h("pre", { class: "text", tabindex: "0", "aria-label": label });
    this.gap = h("p", { class: "gap", hidden: true }, h("span"), button("Show all of it", () => {
      this.all = true;
      this.draw();
    }));
    this.tail = h("pre", { class: "text", hidden: true });
    this.element = h("div", { class: "long-text" }, this.head, this.gap, this.tail);
  }

  set(text) {
    this.text = text;
    this.draw();
  }

  // add appends a text that begins at a byte, of which a part may be known already.
  add(at, text) {
    if (at > this.bytes) return;
    if (at < this.bytes) {
      const b = new TextEncoder().encode(text);
      if (at + b.length <= this.bytes) return;
      text = new TextDecoder().decode(b.subarray(this.bytes - at));
    }
    this.bytes += new TextEncoder().encode(text).length;
    this.text += text;
    this.draw();
  }

  draw() {
    const follow = this.growing && this.head.scrollTop + this.head.clientHeight >= this.head.scrollHeight - 8;
    const cut = !this.all && this.text.length > most;
    show(this.gap, cut);
    show(this.tail, cut);
    if (cut) {
      set(this.head, this.text.slice(0, most / 2));
      set(this.gap.firstChild, `${count(this.text.length - most)} characters are left out. `);
      set(this.tail, this.text.slice(-most / 2));
    } else if (this.head.firstChild && this.text.startsWith(this.head.firstChild.data) && this.head.childNodes.length === 1) {
      this.head.firstChild.appendData(this.text.slice(this.head.firstChild.data.length));
    } else set(this.head, this.text);
    if (follow) this.head.scrollTop = this.head.scrollHeight;
  }
}
