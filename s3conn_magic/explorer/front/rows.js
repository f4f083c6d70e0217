// The rows: a list of any length, of which only the rows in view are drawn.

import { draw, icon, make } from "./elements.js";
import { FAR, ROW, SEGMENT, mapped } from "./mapping.js";
import { BUSY, CONNECTION, DELETED, OPEN, PREFIX, idOf } from "./store.js";
import { dateText, sizeText } from "./texts.js";
import { rowTools } from "./tools.js";

const OVERSCAN = 6; // rows drawn beyond those in view; an error takes three

/** The list of one view. */
export class Rows {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.total = 0;
    this.offset = 0; // px that rows stand higher in the list than in the scrolled element
    this.scrolled = 0;
    this.slots = [];
    this.follow = false; // whether to scroll to the focus with the kernel's next answer
    this.unfolding = ""; // the row just opened
    this.rise = 0; // number of the message whose answer scrolls to the top
    this.build();
  }

  build() {
    this.body = make("div", "s3x-body");
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "tree");
    this.body.setAttribute("aria-label", "Buckets, folders and objects");
    this.body.setAttribute("aria-multiselectable", "true");
    this.canvas = make("div", "s3x-canvas");
    this.canvas.setAttribute("role", "none");
    this.body.append(this.canvas);
    this.body.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.body);
  }

  close() {
    this.resized.disconnect();
  }

  focus() {
    if (this.view.tree.inert) this.view.panel.focus();
    else this.body.focus({ preventScroll: true });
  }

  // ---- updates from the kernel

  update() {
    const { state, focus, shift } = this.store;
    const inSight = this.isInSight(focus.at - (shift ?? 0));
    this.total = state.total;
    this.canvas.style.height = `${Math.min(this.total, SEGMENT) * ROW}px`;
    this.body.style.setProperty("--s3x-rows", String(Math.min(Math.max(this.total, 7), 15)));
    if (this.rise && state.seq >= this.rise) {
      this.rise = 0;
      this.scrollTo(0);
    } else if (shift && inSight) this.scrollTo(this.top() + shift * ROW);
    if (this.follow && state.seq >= this.store.seq) this.reveal();
    if (this.unfolding) this.unfold(this.store);
  }

  /** The row under a mouse event, unless it is on a button. */
  at(event) {
    const slot = this.slots.find((each) => each.node.contains(event.target));
    return slot && !event.target.closest("button") ? slot : undefined;
  }

  // ---- scrolling: a list taller than an element can be is mapped onto it, pixel by pixel near the ends and in proportion
  // between; small steps are applied as they are, and the mapping is corrected when scrolling stops

  height() { return this.body.clientHeight || 15 * ROW; }
  room() { return Math.max(0, Math.min(this.total, SEGMENT) * ROW - this.height()); }
  bottom() { return Math.max(0, this.total * ROW - this.height()); }
  top() { return this.body.scrollTop + this.offset; }
  isInSight(at) { return at * ROW + ROW > this.top() && at * ROW < this.top() + this.height(); }

  scrollTo(y) {
    const to = Math.max(0, Math.min(y, this.bottom()));
    const at = Math.round(mapped(to, this.bottom(), this.room()));
    if (Math.abs(this.body.scrollTop - at) >= 1) this.body.scrollTop = at;
    this.scrolled = this.body.scrollTop;
    this.offset = this.total > SEGMENT ? to - this.scrolled : 0;
    this.paint();
  }

  onScroll() {
    const at = this.body.scrollTop;
    if (this.total > SEGMENT) {
      const far = Math.abs(at - this.scrolled) > FAR;
      if (far) this.offset = mapped(at, this.room(), this.bottom()) - at;
      clearTimeout(this.rest);
      const atEnd = at < 1000 || at > this.room() - 1000;
      if (atEnd && Math.abs(mapped(this.top(), this.bottom(), this.room()) - at) > 1) return this.scrollTo(this.top());
      this.rest = setTimeout(() => this.scrollTo(this.top()), 200);
    }
    this.scrolled = at;
    this.paint();
  }

  /** Scroll the focus into view, with some lines below it. */
  reveal(below = 0) {
    this.follow = false;
    const y = this.store.focus.at * ROW;
    const end = Math.min(y + (1 + below) * ROW, this.total * ROW);
    if (end > this.top() + this.height()) this.scrollTo(Math.min(y, end - this.height()));
    if (y < this.top()) this.scrollTo(y);
  }

  /** Show the beginning of the folder just opened. */
  unfold({ focus, rows }) {
    const row = rows.get(focus.at);
    if (!row || idOf(row) !== this.unfolding || !(row.flags & OPEN) || row.flags & BUSY) return;
    this.unfolding = "";
    this.reveal(4);
  }

  // ---- drawing

  paint() {
    if (!this.store.state || this.painting) return;
    this.painting = true;
    const first = Math.max(0, Math.floor(this.top() / ROW));
    const last = Math.min(this.total, Math.ceil((this.top() + this.height()) / ROW));
    this.store.need(first, last);
    const from = Math.max(0, first - OVERSCAN), to = Math.min(this.total, last + OVERSCAN);
    while (this.slots.length < to - from) this.addSlot();
    const count = this.slots.length;
    this.slots.forEach((slot, index) => {
      const at = from + ((((index - from) % count) + count) % count);
      this.paintSlot(slot, at, at < to);
    });
    const { at } = this.store.focus;
    if (at >= from && at < to) this.body.setAttribute("aria-activedescendant", `${this.view.uid}-${at}`);
    else this.body.removeAttribute("aria-activedescendant");
    this.painting = false;
  }

  addSlot() {
    const node = make("div", "s3x-row s3x-grid");
    node.setAttribute("role", "treeitem");
    const slot = { node, at: -1, name: make("div", "s3x-name"), size: make("div", "s3x-size") };
    slot.twisty = make("span", "s3x-twisty");
    slot.twisty.append(icon("twisty"));
    slot.icon = icon("object");
    slot.text = make("span", "s3x-text");
    slot.hint = make("span", "s3x-hint");
    slot.tools = make("span", "s3x-tools");
    slot.bar = make("span", "s3x-meter");
    slot.bar.append(make("span"));
    slot.bytes = make("span", "s3x-bytes");
    slot.date = make("div", "s3x-date");
    slot.storage = make("div", "s3x-class");
    slot.name.append(slot.twisty, slot.icon, slot.text, slot.hint, slot.tools);
    slot.size.append(slot.bar, slot.bytes);
    node.append(slot.name, slot.size, slot.date, slot.storage);
    this.canvas.append(node);
    this.slots.push(slot);
  }

  paintSlot(slot, at, shown) {
    const { store } = this;
    const { node } = slot;
    const row = shown ? store.rows.get(at) : undefined;
    node.hidden = !shown || row?.kind === "pad";
    if (!shown) return;
    node.style.top = `${at * ROW - this.offset}px`;
    const focused = at === store.focus.at;
    node.classList.toggle("s3x-focus", focused);
    if (slot.at !== at) node.id = `${this.view.uid}-${(slot.at = at)}`;
    if (row === undefined) return this.paintWait(slot);
    const chosen = store.selected.has(idOf(row));
    node.classList.toggle("s3x-chosen", chosen);
    node.setAttribute("aria-selected", String(chosen));
    if (slot.row === row) return;
    slot.row = row;
    node.dataset.kind = row.kind;
    node.style.setProperty("--s3x-depth", row.depth);
    node.setAttribute("aria-level", row.depth + 1);
    slot.text.textContent = row.name;
    slot.tools.replaceChildren(...rowTools(this.view, row));
    if (row.kind === "row") this.paintRow(slot, row);
    else this.paintEnd(slot, row);
  }

  paintWait(slot) {
    slot.row = undefined;
    slot.node.dataset.kind = "wait";
    slot.text.textContent = "";
    slot.tools.replaceChildren();
    for (const name of ["aria-expanded", "aria-posinset", "aria-setsize"]) slot.node.removeAttribute(name);
    slot.node.setAttribute("aria-label", "Loading");
  }

  paintRow(slot, row) {
    const { node } = slot;
    const [, largest, count, complete] = this.store.folders[row.folder];
    const opens = row.flags & PREFIX;
    const drawn = this.drawnAs(row);
    draw(slot.icon, drawn);
    slot.icon.dataset.is = drawn;
    node.dataset.opens = opens ? (row.flags & OPEN ? "open" : "closed") : "";
    node.classList.toggle("s3x-listing", Boolean(row.flags & BUSY));
    if (opens) node.setAttribute("aria-expanded", String(Boolean(row.flags & OPEN)));
    else node.removeAttribute("aria-expanded");
    node.setAttribute("aria-posinset", row.rank + 1);
    node.setAttribute("aria-setsize", complete ? count : -1);
    slot.text.title = row.name;
    slot.hint.textContent = "";
    const sized = row.size !== null;
    slot.bytes.textContent = sized ? sizeText(row.size) : opens ? "–" : "";
    slot.bytes.title = sized ? `${row.size.toLocaleString("en")} bytes` : "";
    slot.bar.hidden = !sized || !largest;
    if (sized && largest) slot.bar.firstChild.style.width = `${(row.size / largest) * 100}%`;
    slot.date.textContent = row.time === null ? "" : dateText(row.time);
    const gone = row.flags & DELETED;
    node.classList.toggle("s3x-deleted", Boolean(gone));
    slot.storage.textContent = gone ? "deleted" : row.storage ?? "";
    const said = [row.name, sized && slot.bytes.textContent, slot.date.textContent, slot.storage.textContent];
    node.setAttribute("aria-label", said.filter(Boolean).join(", "));
  }

  isOpen(row) {
    return Boolean(row.flags & OPEN);
  }

  drawnAs(row) {
    if (row.flags & CONNECTION) return "connection";
    if (!(row.flags & PREFIX)) return "object";
    return this.store.folders[row.folder][0] === "s3://" && !row.name.includes("/") ? "bucket" : "folder";
  }

  paintEnd(slot, row) {
    const { node } = slot;
    for (const name of ["aria-expanded", "aria-posinset", "aria-setsize"]) node.removeAttribute(name);
    node.dataset.opens = "";
    node.classList.remove("s3x-listing", "s3x-deleted");
    draw(slot.icon, "warn");
    slot.text.title = [row.name, row.hint].filter(Boolean).join(" ");
    slot.hint.textContent = row.hint ?? "";
    for (const cell of [slot.bytes, slot.date, slot.storage]) cell.textContent = "";
    slot.bar.hidden = true;
    node.setAttribute("aria-label", [row.name, row.hint].filter(Boolean).join(" "));
  }

}
