// The panel beside the tree: what one object is and what is in it, and ways to copy it elsewhere.

import { button, copyText, draw, icon, make } from "./elements.js";
import { CONNECTION, idOf } from "./store.js";
import { sizeText } from "./texts.js";
import { Treemap } from "./treemap.js";

const FOLLOWS = 250; // ms that the focus rests on a row before the panel shows it
const SPANS = new Map([[900, "15 minutes"], [3600, "1 hour"], [43200, "12 hours"], [604800, "7 days"]]);

/** A document of JSON, a line for each value: every object and list can be folded. */
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

/** The panel of one view. */
export class Panel {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.tab = "preview";
    this.enter = false; // whether the keyboard goes into the panel when it shows what was asked for
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

  close() {
    this.store.removeEventListener("panel", this.changed);
    this.map?.close();
    clearTimeout(this.waiting);
  }

  // ---- opening and closing

  /**
   * Show a row.
   * @param {import("./store.js").Row} row
   * @param {{enter?: boolean, tab?: string, then?: () => void}} options whether the keyboard goes there, which tab is
   *   shown, and what is done as soon as it is shown
   */
  show(row, { enter = false, tab = this.tab, then = null } = {}) {
    this.followed = idOf(row);
    this.enter = enter;
    this.then = then;
    this.tab = tab;
    if (this.subject.open && this.shownId === idOf(row)) {
      this.choose(tab);
      return this.enterNow();
    }
    this.shownId = idOf(row);
    this.store.send("show", { place: [row.folder, row.row] });
  }

  toggle(row) {
    if (this.subject.open && (!row || this.shownId === idOf(row))) this.hide();
    else if (row) this.show(row);
  }

  hide() {
    const within = this.root.contains(document.activeElement);
    this.store.send("hide", {});
    if (within) this.view.rows.focus();
  }

  enterNow() {
    if (this.enter) this.tabs.querySelector("[aria-selected=true]")?.focus();
    this.enter = false;
    this.then?.();
    this.then = null;
  }

  /** Show what has the focus, once it rests. */
  follow(row) {
    const id = row && idOf(row);
    if (!this.subject.open || !id || id === this.followed) return;
    this.followed = id;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      if (this.subject.open && row.kind === "row" && !(row.flags & CONNECTION)) this.show(row);
    }, FOLLOWS);
  }

  onKey(event) {
    if (event.key === "Escape") this.hide();
    if (event.key !== "Tab") event.stopPropagation();
  }

  // ---- the frame

  buildHead() {
    const head = make("div", "s3x-panel-head");
    this.icon = icon("object");
    this.name = make("div", "s3x-panel-name");
    this.name.setAttribute("role", "heading");
    this.name.setAttribute("aria-level", "3");
    this.download = button("s3x-small", "Download", () => this.store.transfers.download(), "download");
    this.copyUri = button("s3x-small", "Copy the s3:// URI", () => this.copy(this.subject.head.uri, "the s3:// URI", this.copyUri), "copy");
    this.closer = button("s3x-small", "Close the panel", () => this.hide(), "clear");
    head.append(this.icon, this.name, this.copyUri, this.download, this.closer);
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
    if (head.folder) return [["analysis", "Contents"], ["share", "Copy"]];
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
    const opened = head.open && this.root.hidden;
    this.root.hidden = !head.open;
    this.view.root.classList.toggle("s3x-with-panel", Boolean(head.open));
    this.view.acts?.info.setAttribute("aria-pressed", String(Boolean(head.open)));
    if (!head.open) return this.view.rows.paint();
    this.followed ??= this.store.focus.id; // a page that was loaded again shows what it showed
    if (part === "panel") this.paintHead(head);
    this.paintTabs();
    if (part === "panel" || this.depends(part)) this.paintContent();
    if (opened) this.view.rows.paint();
    if (part === "panel") this.enterNow();
  }

  depends(part) {
    return part === this.tab || (part === "image" && this.tab === "preview") || (part === "details" && this.tab === "versions");
  }

  paintHead(head) {
    draw(this.icon, head.bucket ? "bucket" : head.folder ? "folder" : "object");
    this.name.textContent = head.name;
    this.name.title = head.shown;
    this.root.setAttribute("role", "region");
    this.root.setAttribute("aria-label", `Details of ${head.name}`);
    this.download.hidden = head.folder;
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

  // ---- what a tab holds

  paintContent() {
    const parts = {
      preview: () => this.waitOr(this.subject.preview, () => this.preview()),
      details: () => this.waitOr(this.subject.details, () => this.details()),
      versions: () => this.versions(),
      share: () => this.share(),
      analysis: () => this.analysis(),
    }[this.tab]();
    this.content.replaceChildren(...(this.subject.head.version ? [this.versionNote()] : []), ...parts);
    this.content.scrollTop = 0;
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
    if (preview.kind === "archived") parts.push(make("div", "s3x-nothing", "This object is archived: it must be restored before it can be read."));
    if (preview.kind === "empty") parts.push(make("div", "s3x-nothing", "This object is empty."));
    if (preview.table) parts.push(this.table(preview.table, new Map(preview.schema)));
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

  picture(url, name) {
    const frame = make("div", "s3x-picture");
    const picture = make("img");
    picture.alt = `Preview of ${name}`;
    picture.src = url;
    frame.append(picture);
    return frame;
  }

  table({ columns, numeric, rows, left }, types) {
    const frame = make("div", "s3x-table");
    frame.tabIndex = 0;
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", "First rows");
    const table = make("table");
    const head = make("tr");
    columns.forEach((name, at) => {
      const cell = make("th", numeric[at] ? "s3x-number" : "");
      cell.scope = "col";
      cell.append(make("div", "", name), make("div", "s3x-type", types.get(name) ?? ""));
      head.append(cell);
    });
    const body = make("tbody");
    for (const row of rows) {
      const line = make("tr");
      row.forEach((text, at) => {
        const cell = make("td", text === null ? "s3x-missing" : numeric[at] ? "s3x-number" : "", text ?? "null");
        if (text?.length > 40) cell.title = text;
        line.append(cell);
      });
      body.append(line);
    }
    const thead = make("thead");
    thead.append(head);
    table.append(thead, body);
    frame.append(table);
    if (left) frame.append(make("div", "s3x-quiet s3x-cut", `${left} are not shown`));
    return frame;
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

  versions() {
    const list = make("ul", "s3x-versions");
    const { details, head } = this.subject;
    for (const each of details.versions ?? []) {
      const line = make("li");
      const shown = head.version ? each.id === head.version : each.latest;
      const text = [each.when, each.marker ? "deleted" : each.size, each.storage].filter(Boolean).join(" · ");
      const node = button("s3x-version", "", () => this.subject.send("version", { id: each.latest ? null : each.id }));
      node.append(make("span", "", text), make("span", "s3x-quiet", `${each.latest ? "current · " : ""}${each.id}`));
      node.disabled = each.marker;
      node.setAttribute("aria-pressed", String(shown));
      line.append(node);
      list.append(line);
    }
    return [make("div", "s3x-quiet s3x-cut", "Choose a version to see its preview and details."), list];
  }

  // ---- copying

  async copy(text, what, node) {
    const done = await this.view.copyAs(text, what);
    const drawn = node?.querySelector("svg");
    if (!done || !drawn) return;
    draw(drawn, "done");
    setTimeout(() => draw(drawn, "copy"), 1500);
  }

  share() {
    const { head } = this.subject;
    const parts = [this.shareLine("URI", head.uri, "the s3:// URI", head.shown), this.shareLine("ARN", head.arn, "the ARN")];
    if (!head.folder) parts.push(this.linkLine());
    return [...parts, ...this.snippets()];
  }

  shareLine(label, text, what, shown = text) {
    const line = make("div", "s3x-share");
    const node = button("s3x-small", `Copy ${what}`, () => this.copy(text, what, node), "copy");
    line.append(make("span", "s3x-label", label), make("code", "", shown), node);
    return line;
  }

  linkLine() {
    const box = make("div", "s3x-link");
    const line = make("div", "s3x-share");
    const span = make("select");
    span.setAttribute("aria-label", "How long the link lasts");
    for (const seconds of this.subject.head.links) {
      const option = make("option", "", SPANS.get(seconds) ?? `${seconds} seconds`);
      option.value = seconds;
      span.append(option);
    }
    span.value = this.span ?? "3600";
    span.addEventListener("change", () => (this.span = span.value));
    const result = make("div", "s3x-quiet");
    result.setAttribute("role", "status");
    line.append(make("span", "s3x-label", "Link"), span, button("s3x-act", "Copy a link", () => this.makeLink(Number(span.value), result)));
    box.append(line, result);
    return box;
  }

  /** A link opens the object for whoever has it, so it is made on a click, and kept nowhere but on the page. */
  async makeLink(seconds, result) {
    result.textContent = "Making a link…";
    const { url, ends, note, error } = await this.subject.link(seconds);
    if (error) return result.replaceChildren(this.problem(error, () => this.makeLink(seconds, result)));
    const field = make("input", "s3x-field");
    field.readOnly = true;
    field.value = url;
    field.setAttribute("aria-label", "Link");
    field.addEventListener("focus", () => field.select());
    const copied = await copyText(url);
    const said = [copied ? "Copied." : "Copy it from the field.", ends && `It opens the object for anyone who has it until ${ends}.`, note];
    result.replaceChildren(field, make("div", "", said.filter(Boolean).join(" ")));
  }

  snippets() {
    const { snippets } = this.subject.head;
    if (!snippets.length) return [];
    const chosen = snippets.find(([label]) => label === this.library) ?? snippets[0];
    const bar = make("div", "s3x-libraries");
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Code for");
    for (const [label] of snippets) {
      const node = button("s3x-library", label, () => {
        this.library = label;
        this.paintContent();
        [...this.content.querySelectorAll(".s3x-library")].find((each) => each.textContent === label)?.focus();
      });
      node.setAttribute("aria-pressed", String(label === chosen[0]));
      bar.append(node);
    }
    const copy = button("s3x-small", `Copy the code for ${chosen[0]}`, () => this.copy(chosen[1], "the code", copy), "copy");
    bar.append(copy);
    const code = make("pre", "s3x-code", chosen[1]);
    code.tabIndex = 0;
    return [bar, code];
  }

  // ---- what is in a folder

  analysis() {
    const { analysis } = this.subject;
    const again = () => this.subject.send("analyze", {});
    if (analysis?.error) return [this.problem(analysis.error, again)];
    if (analysis?.busy) {
      const wait = make("div", "s3x-waiting");
      const counted = `${analysis.objects.toLocaleString("en")} objects, ${sizeText(analysis.bytes)} so far`;
      wait.append(make("span", "s3x-spinner"), make("span", "", counted), button("s3x-act", "Stop", () => this.store.send("halt", { id: "" })));
      return [wait];
    }
    if (analysis?.data) return this.treemap(analysis.data);
    const start = make("div", "s3x-nothing");
    start.append(make("div", "", "How much is in each folder? Every key below is listed."), button("s3x-act", "Analyze", again));
    return [start];
  }

  treemap(data) {
    const host = make("div", "s3x-map");
    this.map?.close();
    this.map = new Treemap(host, { choose: ({ name }) => this.subject.send("descend", { name }), opens: ({ name }) => name !== "" });
    this.map.show(data);
    return [host];
  }
}
