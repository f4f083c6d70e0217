// Keyboard control of the rows.

import { ROW } from "./mapping.js";
import { CONNECTION, PREFIX, idOf } from "./store.js";
import { rowTools } from "./tools.js";

export const MOVES = {
  ArrowDown: (at) => at + 1,
  ArrowUp: (at) => at - 1,
  PageDown: (at, page) => at + page,
  PageUp: (at, page) => at - page,
  Home: () => 0,
  End: (_at, _page, last) => last,
};
const TYPING = 700; // ms between two letters of one name
// Keys that act on the focused row, which may not have arrived yet.
const OF_ROW = new Set(["ArrowLeft", "ArrowRight", "Enter", " ", "*"]);
const SINGLE = new Set(["ArrowLeft", "ArrowRight", "Enter", "Backspace", "Delete", "ContextMenu", "F10"]);

/** The keyboard of one view. A key pressed before the last answer waits for it, since it refers to what that shows. */
export class Keys {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.rows = view.rows;
    this.typed = "";
    this.typedAt = 0;
    this.queue = [];
    this.rows.body.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Handle the keys that waited for an answer. */
  update() {
    while (this.queue.length && !this.waits(this.queue[0])) this.takeKey(this.queue.shift());
  }

  toggle(row) {
    this.rows.unfolding = idOf(row);
    return this.actOn("toggle", { place: [row.folder, row.row] });
  }

  onKey(event) {
    if (event.target !== this.rows.body || event.altKey || !this.store.state) return;
    const { key, shiftKey } = event;
    const keyed = { key, shiftKey, control: event.ctrlKey || event.metaKey, time: event.timeStamp };
    const ours = keyed.control ? "ac ".includes(key) || key in MOVES : key.length === 1 || key in MOVES || SINGLE.has(key);
    if (!ours || !(this.queue.length || this.waits(keyed) ? this.queue.push(keyed) : this.takeKey(keyed))) return;
    event.preventDefault();
    event.stopPropagation();
  }

  waits({ key }) {
    const { focus, mode, rows } = this.store;
    return this.rows.follow || mode !== "" || (OF_ROW.has(key) && focus.at < this.rows.total && !rows.get(focus.at));
  }

  /** Handle a key. */
  takeKey(keyed) {
    const row = this.store.rows.get(this.store.focus.at);
    const named = this.named(keyed);
    if (named) return named.call(this, row);
    if (keyed.key === " " && row) return this.spaceOn(row, keyed.control);
    return this.moveByKey(keyed) || (!keyed.control && (this.actByKey(keyed, row) || this.typeAhead(keyed)));
  }

  /** The action of a key other than moves and letters. */
  named({ key, control, shiftKey, time }) {
    if (control) return { a: this.all, c: this.copyChosen }[key];
    if (time - this.typedAt > TYPING) this.typed = "";
    if (!this.typed && (key === "?" || key === "/")) return key === "?" ? this.help : this.search;
    if (key === "F10" && !shiftKey) return () => false;
    return { ContextMenu: this.menu, F10: this.menu, Delete: this.remove }[key];
  }

  all() {
    return this.actOn("all", {});
  }

  /** Copy the URIs of all selected rows, or of the focused row if only one is selected. */
  copyChosen(row) {
    if (this.store.selected.size > 1) this.view.menu.copy("uris", null);
    else if (row?.kind === "row") this.view.copy(row);
    return this.store.selected.size > 1 || row?.kind === "row";
  }

  help() {
    this.view.menu.showKeys();
    return true;
  }

  search() {
    this.view.bar.find.focus();
    return true;
  }

  menu(row) {
    if (row?.kind === "row") this.view.menu.show(row, 40, (this.store.focus.at + 1) * ROW - this.rows.top() + this.rows.body.offsetTop);
    return true;
  }

  remove() {
    this.view.acts.remove.click();
    return true;
  }

  /** Space shows or hides a row's details; with Control it toggles the row's selection. */
  spaceOn(row, control) {
    const shows = this.store.state.acts && row.kind === "row" && !(row.flags & CONNECTION);
    if (control || !shows) return this.actOn("at", { place: [row.folder, row.row], mode: "toggle" });
    this.view.panel.toggle(row);
    return true;
  }

  moveByKey({ key, shiftKey, control }) {
    if (!(key in MOVES)) return false;
    const { at } = this.store.focus;
    const to = MOVES[key](at, Math.max(1, Math.floor(this.rows.height() / ROW) - 1), this.rows.total - 1);
    this.typed = "";
    const mode = shiftKey ? "range" : control ? "move" : "one";
    this.store.moveTo(this.skipPads(Math.max(0, Math.min(to, this.rows.total - 1)), to >= at), mode);
    this.rows.reveal();
    return true;
  }

  /** An error takes three lines but is one step. */
  skipPads(to, down) {
    const isPad = (at) => this.store.rows.get(at)?.kind === "pad";
    let at = to;
    while (down && isPad(at) && at < this.rows.total - 1) at += 1;
    while (isPad(at) && at > 0) at -= 1;
    return at;
  }

  actByKey({ key, shiftKey }, row) {
    if (key === "Backspace") return this.actOn("up", {});
    if (!row) return false;
    const opens = row.flags & PREFIX;
    const act = { ArrowRight: opens && "right", ArrowLeft: "left", "*": row.row >= 0 && "siblings" }[key];
    if (act === "right") this.rows.unfolding = idOf(row);
    if (act) return this.actOn(act, { place: [row.folder, row.row] });
    if (key !== "Enter") return key in { ArrowRight: 0, ArrowLeft: 0, "*": 0 };
    if (opens) return this.toggle(row);
    if (row.kind === "row" && this.store.state.acts) this.view.panel.show(row, { enter: true });
    const acts = row.row < 0 ? rowTools(this.view, row) : [];
    acts[shiftKey ? acts.length - 1 : 0]?.click();
    return true;
  }

  actOn(type, what) {
    this.rows.follow = true;
    this.store.act(type, what);
    return true;
  }

  typeAhead({ key, time }) {
    if (key.length !== 1) return false;
    this.typedAt = time;
    this.typed += key;
    return this.actOn("typed", { text: this.typed });
  }
}
