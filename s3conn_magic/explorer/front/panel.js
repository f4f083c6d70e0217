// The panel beside the tree: what an object is and contains, and ways to copy it.

import { button, draw, icon, make } from "./elements.js";
import { Share } from "./share.js";
import { CONNECTION, idOf } from "./store.js";
import { Table } from "./table.js";
import { analysisNodes, datasetNodes, propertyNodes, thawNodes, versionNodes } from "./tabs.js";
import { Treemap } from "./treemap.js";

const FOLLOWS = 250; // ms that the focus must rest on a row before the panel follows

/** A JSON document with one line for each value; objects and lists can be folded. */
export function foldable(text) {
  const open = [make("pre", "s3x-text-preview")];
  let lines = [];
  const flush = () => {
    if (lines.length) open.at(-1).append(make("div", "", lines.join("\n")));
    lines = [];
  };
  for (const line of text.split("\n")) {
    const closes = open.length > 1 && /^\s*[\]}]/.test(line);
    const opens = /[[{]$/.test(line);
    if (closes || opens) flush();
    if (closes) open.pop();
    if (opens) {
      const fold = make("details", "s3x-json");
      fold.open = true;
      fold.append(make("summary", "", line));
      open.at(-1).append(fold);
      open.push(fold);
    } else lines.push(line);
  }
  flush();
  return open[0];
}

const SIDE = 1200; // px of the longer side of a picture drawn to a canvas, at most

function drawn(url, label) {
  const canvas = make("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const picture = new Image();
  picture.addEventListener("load", () => {
    const [width, height] = [picture.naturalWidth || 300, picture.naturalHeight || 150];
    const scale = Math.min(SIDE / Math.max(width, height), 2);
    [canvas.width, canvas.height] = [Math.max(1, width * scale), Math.max(1, height * scale)];
    canvas.style.width = `${Math.min(width, SIDE)}px`;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  });
  picture.src = url;
  return canvas;
}

/** The panel of one view. */
export class Panel {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.share = new Share(this);
    /** @type {Table | null} */
    this.records = null;
    this.tableOf = null;
    this.tab = "preview";
    this.enter = false; // whether to move the keyboard focus into the panel once it shows the row
    this.followed = null;
    this.root = make("section", "s3x-panel");
    this.root.hidden = true;
    this.root.append(this.buildHead(), this.buildTabs(), this.buildContent());
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.changed = (event) => this.paint(event.detail);
    this.store.addEventListener("panel", this.changed);
    this.paint("panel");
  }

  get subject() { return this.store.subject; }
  get open() { return this.subject.open && !this.leaves; }

  close() {
    this.store.removeEventListener("panel", this.changed);
    this.map?.close();
    clearTimeout(this.waiting);
  }

  // ---- opening and closing

  /**
   * Show a row.
   * @param {import("./store.js").Row} row
   * @param {{enter?: boolean, tab?: string, then?: () => void}} options whether to focus the panel, which tab to
   *   show, and what to do once it is shown
   */
  show(row, { enter = false, tab = this.tab, then = null } = {}) {
    this.followed = idOf(row);
    this.enter = enter;
    this.then = then;
    this.tab = tab;
    if (this.open && this.shownId === idOf(row)) {
      this.choose(tab);
      return this.enterNow();
    }
    this.shownId = idOf(row);
    this.store.send("show", { place: [row.folder, row.row] });
  }

  toggle(row) {
    if (this.open && (!row || this.shownId === idOf(row))) this.hide();
    else if (row) this.show(row);
  }

  hide() {
    const within = this.root.contains(document.activeElement);
    this.store.send("hide", {});
    this.leaves = true; // updates that arrive before the answer must not reopen the panel
    this.root.hidden = true;
    this.view.cover();
    if (within) this.view.rows.focus();
  }

  focus() { this.tabs.querySelector("[aria-selected=true]")?.focus(); }

  enterNow() {
    if (this.enter) this.focus();
    this.enter = false;
    this.then?.();
    this.then = null;
  }

  /** Show the focused row, once the focus rests. */
  follow(row) {
    const id = row && idOf(row);
    if (!this.open || !id || id === this.followed) return;
    this.followed = id;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      if (this.open && row.kind === "row" && !(row.flags & CONNECTION)) this.show(row);
    }, FOLLOWS);
  }

  onKey(event) {
    if (event.key === "Escape") this.hide();
    if (event.key !== "Tab") event.stopPropagation();
  }

  // ---- head and tabs

  buildHead() {
    const head = make("div", "s3x-panel-head");
    this.icon = icon("object");
    this.name = make("div", "s3x-panel-name");
    this.name.setAttribute("role", "heading");
    this.name.setAttribute("aria-level", "3");
    this.download = button("s3x-small", "Download", () => this.store.transfers.download(), "download");
    this.save = button("s3x-small", "Save beside the notebook", () => this.store.transfers.download(true), "save");
    this.copyUri = button("s3x-small", "Copy the s3:// URI", () => this.share.copy(this.subject.head.uri, "the s3:// URI", this.copyUri), "copy");
    this.closer = button("s3x-small s3x-closer", "Close the panel", () => this.hide(), "clear");
    head.append(button("s3x-small s3x-back", "Back to the tree", () => this.hide(), "back"), this.icon, this.name, this.copyUri, this.download, this.save, this.closer);
    return head;
  }

  buildTabs() {
    this.tabs = make("div", "s3x-tabs");
    this.tabs.setAttribute("role", "tablist");
    this.tabs.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const all = [...this.tabs.children];
      const at = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
      const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : step && (at + step + all.length) % all.length;
      if (to === undefined) return;
      event.preventDefault();
      this.choose(all[to].dataset.tab);
      this.tabs.children[to].focus();
    });
    return this.tabs;
  }

  buildContent() {
    this.content = make("div", "s3x-content");
    this.content.id = `${this.view.uid}-content`;
    this.content.setAttribute("role", "tabpanel");
    this.content.tabIndex = 0;
    return this.content;
  }

  tabNames() {
    const { head, details } = this.subject;
    if (head.folder) return [["analysis", "Contents"], ["datasets", "Datasets"], ...(head.bucket ? [["properties", "Properties"]] : []), ["share", "Copy"]];
    const count = details.versions?.length ?? 0;
    return [["preview", "Preview"], ["details", "Details"], ...(count ? [["versions", `Versions (${count})`]] : []), ["share", "Copy"]];
  }

  choose(tab) {
    this.tab = tab;
    this.paintTabs();
    this.paintContent();
  }

  paint(part) {
    const { head } = this.subject;
    if (part === "panel") this.leaves = false;
    if (this.leaves) return undefined;
    if (part === "loaded") return this.records?.take(this.subject.loaded);
    const opened = head.open && this.root.hidden;
    this.root.hidden = !head.open;
    this.view.root.classList.toggle("s3x-with-panel", Boolean(head.open));
    this.view.acts?.info.setAttribute("aria-pressed", String(Boolean(head.open)));
    this.view.cover();
    if (!head.open) return this.view.rows.paint();
    this.followed ??= this.store.focus.id; // after a reload the page shows what it showed before
    if (part === "panel") this.paintHead(head);
    this.paintTabs();
    if (part === "panel" || this.depends(part)) this.paintContent();
    if (opened) this.view.rows.paint();
    if (part === "panel") this.enterNow();
    this.view.cover();
  }

  depends(part) {
    return { image: "preview", details: "versions", code: "share" }[part] === this.tab || part === this.tab || (part === "details" && this.subject.preview.kind === "archived");
  }

  paintHead(head) {
    draw(this.icon, head.bucket ? "bucket" : head.folder ? "folder" : "object");
    this.name.textContent = head.name;
    this.name.title = head.shown;
    this.root.setAttribute("role", "region");
    this.root.setAttribute("aria-label", `Details of ${head.name}`);
    for (const node of [this.download, this.save]) node.hidden = head.folder;
    if (!this.tabNames().some(([tab]) => tab === this.tab)) this.tab = head.folder ? "analysis" : "preview";
  }

  paintTabs() {
    const names = this.tabNames();
    if (!names.some(([tab]) => tab === this.tab)) return;
    const now = JSON.stringify([names, this.tab]);
    if (now === this.painted) return;
    this.painted = now;
    const focused = document.activeElement?.closest?.(".s3x-tabs") === this.tabs;
    this.tabs.replaceChildren(...names.map(([tab, label]) => this.tabButton(tab, label)));
    if (focused) this.tabs.querySelector("[aria-selected=true]").focus();
  }

  tabButton(tab, label) {
    const node = button("s3x-tab", label, () => this.choose(tab));
    node.id = `${this.view.uid}-tab-${tab}`;
    node.dataset.tab = tab;
    node.setAttribute("role", "tab");
    node.setAttribute("aria-selected", String(tab === this.tab));
    node.setAttribute("aria-controls", this.content.id);
    node.tabIndex = tab === this.tab ? 0 : -1;
    if (tab === this.tab) this.content.setAttribute("aria-labelledby", node.id);
    return node;
  }

  // ---- content of the tabs

  paintContent() {
    const parts = {
      preview: () => this.waitOr(this.subject.preview, () => this.preview()),
      details: () => this.waitOr(this.subject.details, () => this.details()),
      versions: () => versionNodes(this),
      share: () => this.share.nodes(),
      analysis: () => analysisNodes(this),
      datasets: () => datasetNodes(this),
      properties: () => propertyNodes(this),
    }[this.tab]();
    this.content.replaceChildren(...(this.subject.head.version ? [this.versionNote()] : []), ...parts);
    this.content.scrollTop = 0;
    if (this.records?.root.isConnected) this.records.paint();
  }

  waitOr(part, paint) {
    if (part.error) return [this.problem(part.error)];
    if (part.kind || part.facts) return paint();
    const wait = make("div", "s3x-waiting");
    wait.append(make("span", "s3x-spinner"), make("span", "", "Reading…"), button("s3x-act", "Stop", () => this.store.send("halt", { id: "" })));
    return [wait];
  }

  problem({ message, hint }, again = () => this.store.send("retry", {})) {
    const node = make("div", "s3x-problem");
    node.setAttribute("role", "alert");
    const text = make("div", "s3x-problem-text");
    text.append(make("div", "", message), make("div", "s3x-quiet", hint));
    node.append(icon("warn"), text, button("s3x-act", "Retry", again));
    return node;
  }

  versionNote() {
    const note = make("div", "s3x-note");
    const { head, details } = this.subject;
    const known = details.versions?.find((each) => each.id === head.version);
    note.append(make("span", "", known ? `Version of ${known.when}${known.latest ? ", the current one" : ""}` : "An older version"));
    note.append(button("s3x-act", "Show the current one", () => this.subject.send("version", { id: null })));
    return note;
  }

  preview() {
    const { preview, image, head } = this.subject;
    const parts = [make("div", "s3x-summary-line", preview.summary)];
    for (const note of preview.notes) parts.push(make("div", "s3x-note", note));
    if (preview.kind === "archived") parts.push(make("div", "s3x-nothing", "This object is archived: it must be restored before it can be read."), ...thawNodes(this));
    if (preview.kind === "deleted") parts.push(make("div", "s3x-nothing", "This object was deleted: its versions can be looked at, and brought back."));
    if (preview.kind === "empty") parts.push(make("div", "s3x-nothing", "This object is empty."));
    if (preview.table) parts.push(this.table());
    else if (preview.schema.length) parts.push(this.pairs(preview.schema));
    if (preview.table && preview.schema.length > preview.table.columns.length) parts.push(this.fold(`Schema: ${preview.schema.length} columns`, this.pairs(preview.schema)));
    if (preview.text !== null) {
      const text = preview.document ? foldable(preview.text) : make("pre", "s3x-text-preview", preview.text);
      text.tabIndex = 0;
      parts.push(text);
    }
    if (preview.cut) parts.push(make("div", "s3x-quiet s3x-cut", preview.cut));
    if (preview.image) parts.push(image?.url ? this.picture(image.url, head.name) : make("div", "s3x-waiting", "Loading the image…"));
    return parts;
  }

  /** A picture. An SVG is drawn to a canvas, since opened as a document it could run scripts. */
  picture(url, name) {
    const frame = make("div", "s3x-picture");
    if (this.subject.preview.image.mime === "image/svg+xml") {
      frame.append(drawn(url, `Preview of ${name}`));
      return frame;
    }
    const picture = make("img");
    picture.alt = `Preview of ${name}`;
    picture.addEventListener("error", () => frame.replaceChildren(make("div", "s3x-quiet", "The browser cannot draw this picture.")));
    picture.src = url;
    frame.append(picture);
    return frame;
  }

  /** The table of this preview, reused so that scroll position, order and filter survive a look at other tabs. */
  table() {
    const { preview } = this.subject;
    if (this.tableOf !== preview) [this.tableOf, this.records] = [preview, new Table(this.subject, preview)];
    return this.records.root;
  }

  fold(label, content) {
    const node = make("details", "s3x-fold");
    node.append(make("summary", "", label), content);
    return node;
  }

  pairs(pairs) {
    const list = make("dl", "s3x-pairs");
    for (const [name, value] of pairs) list.append(make("dt", "", name), make("dd", "", value));
    return list;
  }

  details() {
    const { details } = this.subject;
    const parts = [this.pairs(details.facts)];
    for (const [label, pairs] of [["Metadata", details.metadata], ["Tags", details.tags]]) {
      if (!pairs) continue;
      parts.push(make("div", "s3x-label", label), pairs.length ? this.pairs(pairs) : make("div", "s3x-quiet", "none"));
    }
    for (const note of details.notes) parts.push(make("div", "s3x-note", note));
    return parts;
  }

  // ---- contents of a folder

  treemap(data) {
    const host = make("div", "s3x-map");
    this.map?.close();
    const choose = ({ name }) => {
      this.subject.send("descend", { name: data.below + name });
      if (name.endsWith("/")) this.view.uncover();
    };
    this.map = new Treemap(host, { choose, opens: ({ name }) => name !== "" });
    this.map.show(data);
    return data.below ? [make("div", "s3x-note", `Everything lies in ${data.shown_below}`), host] : [host];
  }
}
