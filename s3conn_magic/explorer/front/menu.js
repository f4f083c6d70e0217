// A row's context menu, and the list of keys.

import { button, make } from "./elements.js";
import { CONNECTION, DELETED, PREFIX, idOf } from "./store.js";
import { freshId } from "./transfers.js";

export const KEYS = [
  ["↑ ↓ Page Up Page Down Home End", "move to another row; with Shift select up to it, with Ctrl keep the selection"],
  ["→ ←", "open a folder and step into it; close it and step out"],
  ["Enter", "open or close a folder, show an object, do what the line at a folder's end offers"],
  ["Space", "show details of the row; with Ctrl add it to the selection"],
  ["Backspace", "one folder up"],
  ["letters", "move to the next row that starts with them"],
  ["*", "open all folders beside this one"],
  ["/", "search"],
  ["Ctrl+A", "select all rows"],
  ["Ctrl+C", "copy the URIs of the selected rows"],
  ["Delete", "delete the selected rows, after asking"],
  ["Menu, Shift+F10", "what can be done with the row"],
  ["Escape", "close the menu or the panel, or answer no"],
  ["?", "this list"],
];

const COPIED = { query: "a query", analyze: "a statement", discover: "a statement", arns: "the ARN", uris: "the s3:// URI" };

/** The menu and the list of keys of one view. */
export class Menu {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.root = make("div", "s3x-menu");
    this.root.hidden = true;
    this.root.setAttribute("role", "menu");
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.root.addEventListener("contextmenu", (event) => event.preventDefault());
    this.root.addEventListener("focusout", (event) => {
      if (!this.root.contains(/** @type {Node} */ (event.relatedTarget))) this.root.hidden = true;
    });
    this.keys = this.buildKeys();
  }

  buildKeys() {
    const list = make("div", "s3x-menu s3x-keys");
    list.hidden = true;
    list.tabIndex = -1;
    list.setAttribute("role", "dialog");
    list.setAttribute("aria-label", "Keys");
    const pairs = make("dl", "s3x-pairs");
    for (const [keys, does] of KEYS) pairs.append(make("dt", "", keys), make("dd", "", does));
    list.append(make("div", "s3x-label", "Keys in the tree"), pairs, button("s3x-act", "Close", () => this.hideKeys()));
    list.addEventListener("keydown", (event) => {
      if (event.key !== "Tab") event.stopPropagation();
      if (event.key === "Escape" || event.key === "?") this.hideKeys();
    });
    return list;
  }

  showKeys() {
    this.keys.hidden = false;
    this.keys.querySelector("button").focus({ preventScroll: true });
  }

  hideKeys() {
    this.keys.hidden = true;
    this.view.rows.focus();
  }

  /** The menu's items: label, action, and whether it applies. */
  items(row) {
    const { store, view } = this;
    const { selected, state } = store;
    const many = selected.size > 1 && selected.has(idOf(row));
    const counted = many ? `${selected.size} ` : "";
    const gone = row.flags & DELETED, opens = row.flags & PREFIX, there = state.acts && !gone;
    const items = [this.first(row, opens)];
    if (row.flags & CONNECTION) return items;
    items.push(
      ...(opens ? this.ofFolder(row, state) : []),
      ["Bring it back…", () => view.panel.show(row, { tab: "versions", then: () => store.subject.send("restore", { id: freshId(), version: null }) }), gone && !state.locked],
      ...this.copies(row, many, counted, there),
      ...this.downloads(row, opens || many, counted, there),
      [many ? `Delete ${selected.size}…` : "Delete…", () => store.send("delete", { id: freshId() }), there && !state.locked],
    );
    return items.filter(([, , holds]) => holds);
  }

  first(row, opens) {
    const { store, view } = this;
    if (!opens) return ["Preview", () => view.panel.show(row, { enter: true }), store.state.acts];
    return [view.rows.isOpen(row) ? "Close" : "Open", () => view.keys.toggle(row), true];
  }

  ofFolder(row, { acts, discovers }) {
    const { store, view } = this;
    return [
      ["Begin the tree here", () => store.act("root", { place: [row.folder, row.row] }), true],
      ["Details", () => view.panel.show(row, { enter: true }), acts],
      ["Analyze", () => this.inPanel(row, "analysis", "analyze"), acts],
      ["Discover datasets", () => this.inPanel(row, "datasets", "discover"), discovers],
      ["Copy an ANALYZE statement", () => this.copy("analyze", row), acts],
      ["Copy a DISCOVER statement", () => this.copy("discover", row), discovers],
    ];
  }

  copies(row, many, counted, there) {
    const { store, view } = this;
    const all = many ? null : row;
    return [
      ["Copy a query", () => this.copy("query", row), there],
      [many ? `Copy ${counted}URIs` : "Copy the s3:// URI", many ? () => this.copy("uris", all) : () => view.copy(row), true],
      [many ? `Copy ${counted}ARNs` : "Copy the ARN", () => this.copy("arns", all), store.state.acts],
      ["Copy code…", () => view.panel.show(row, { enter: true, tab: "share" }), there],
    ];
  }

  /** Download an object, or several objects and folders as one file. */
  downloads(row, packed, counted, holds) {
    const { store, view } = this;
    const one = (save) => () => view.panel.show(row, { then: () => store.transfers.download(save) });
    const several = (save) => () => store.transfers.zip(save);
    return [
      [packed ? `Download ${counted}as a ZIP file` : "Download", packed ? several(false) : one(false), holds],
      [packed ? `Save ${counted}as a ZIP file beside the notebook` : "Save beside the notebook", packed ? several(true) : one(true), holds],
    ];
  }

  /** Show a folder in the panel, and let the kernel analyze it. */
  inPanel(row, tab, type) {
    const { store, view } = this;
    view.panel.show(row, { enter: true, tab, then: () => { if (!store.subject[tab]) store.subject.send(type, {}); } });
  }

  /** Copy a text from the kernel, about one row or all selected ones. */
  async copy(what, row) {
    const lines = await this.store.text(what, row && [row.folder, row.row]);
    if (!lines.length) return this.view.say("This name cannot stand in a statement");
    const paste = what === "uris" || what === "arns" ? "" : ": paste it into a new cell";
    return this.view.copyAs(lines.join("\n"), (lines.length > 1 ? `${lines.length} lines` : COPIED[what]) + paste);
  }

  /** Show the menu at a point of the view. */
  show(row, x, y) {
    const { root } = this;
    root.replaceChildren(...this.items(row).map(([label, act]) => this.item(label, act)));
    root.setAttribute("aria-label", row.name);
    root.hidden = false;
    const { clientWidth, clientHeight } = this.view.root;
    root.style.left = `${Math.max(0, Math.min(x, clientWidth - root.offsetWidth))}px`;
    root.style.top = `${Math.max(0, Math.min(y, clientHeight - root.offsetHeight))}px`;
    root.firstChild.focus({ preventScroll: true });
  }

  item(label, act) {
    const node = button("s3x-item", label, () => {
      this.hide();
      act();
    });
    node.setAttribute("role", "menuitem");
    node.tabIndex = -1;
    return node;
  }

  hide() {
    this.root.hidden = true;
    this.view.rows.focus();
  }

  onKey(event) {
    const items = [...this.root.children];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: (at + 1) % items.length, ArrowUp: (at - 1 + items.length) % items.length, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[to].focus({ preventScroll: true });
    else if (event.key === "Escape" || event.key === "Tab") this.hide();
    else if (event.key.length === 1 && event.key !== " ") {
      const letter = event.key.toLowerCase();
      const next = [...items.slice(at + 1), ...items.slice(0, at + 1)].find((each) => each.textContent.toLowerCase().startsWith(letter));
      next?.focus({ preventScroll: true });
    } else {
      event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
