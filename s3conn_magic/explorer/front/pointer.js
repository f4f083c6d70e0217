// What the mouse does in the rows, and files that are dropped on them.

import { PREFIX } from "./store.js";

/** The mouse of one view. */
export class Pointer {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.rows = view.rows;
    const { body, canvas } = this.rows;
    canvas.addEventListener("mousedown", (event) => this.onPress(event));
    canvas.addEventListener("dblclick", (event) => this.onDouble(event));
    body.addEventListener("dragover", (event) => this.onDrag(event));
    body.addEventListener("drop", (event) => this.onDrop(event));
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

  onDrag(event) {
    const { state } = this.store;
    if (event.dataTransfer?.types.includes("Files") && state?.acts && !state.locked) event.preventDefault();
  }

  onDrop(event) {
    if (!event.dataTransfer?.files.length || this.store.state.locked) return;
    event.preventDefault();
    this.store.transfers.upload(event.dataTransfer.files);
  }
}
