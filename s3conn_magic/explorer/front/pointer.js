// The mouse in the rows, and files dropped on the view.

import { PREFIX, idOf } from "./store.js";

/** The mouse of one view. */
export class Pointer {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.rows = view.rows;
    const { canvas } = this.rows;
    canvas.addEventListener("mousedown", (event) => this.onPress(event));
    canvas.addEventListener("dblclick", (event) => this.onDouble(event));
    canvas.addEventListener("contextmenu", (event) => this.onMenu(event));
    // On the whole view: a file dropped beside the rows must not open in place of the notebook.
    view.root.addEventListener("dragover", (event) => this.onDrag(event));
    view.root.addEventListener("dragleave", (event) => {
      if (!view.root.contains(event.relatedTarget)) this.mark(false);
    });
    view.root.addEventListener("drop", (event) => this.onDrop(event));
  }

  onPress(event) {
    const slot = this.rows.at(event);
    if (!slot?.row || event.button) return;
    const { row, at } = slot;
    if (slot.twisty.contains(event.target) && row.flags & PREFIX) this.view.keys.toggle(row);
    else this.store.moveTo(at, event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one");
    if (event.shiftKey) event.preventDefault();
  }

  onDouble(event) {
    const slot = this.rows.at(event);
    if (slot?.row?.kind !== "row" || slot.twisty.contains(event.target)) return;
    if (slot.row.flags & PREFIX) this.view.keys.toggle(slot.row);
    else if (this.store.state.acts) this.view.panel.show(slot.row);
  }

  /** The row under the mouse is the one meant: select it, unless it is among those selected. */
  onMenu(event) {
    const slot = this.rows.at(event);
    if (slot?.row?.kind !== "row" || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (!this.store.selected.has(idOf(slot.row))) this.store.moveTo(slot.at, "one");
    const { left, top } = this.view.root.getBoundingClientRect();
    this.view.menu.show(slot.row, event.clientX - left, event.clientY - top);
  }

  /** Why nothing may be dropped, or an empty text. */
  refusal() {
    const { state } = this.store;
    return state?.acts ? state.locked : "Nothing can be uploaded here";
  }

  mark(accepts) {
    this.view.root.classList.toggle("s3x-drop", accepts);
  }

  onDrag(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    const refusal = this.refusal();
    event.dataTransfer.dropEffect = refusal ? "none" : "copy";
    this.mark(!refusal);
    const places = this.store.state?.crumbs.map(([label]) => label) ?? [];
    this.view.say(refusal || `Drop to upload into ${places.join("/")}`);
  }

  onDrop(event) {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.mark(false);
    const refusal = this.refusal();
    if (refusal) this.view.say(refusal);
    else this.store.transfers.upload(event.dataTransfer.files);
  }
}
