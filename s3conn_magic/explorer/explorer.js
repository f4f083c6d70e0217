// The browser's end of the explorer. Data reaches the page as text nodes only.

const ROW = 28; // px, as in the style sheet
const SEGMENT = 500000; // rows: browsers limit an element's height to some 17 million px
const MARGIN = 100; // rows asked for beyond those in sight
const KEPT = 20000; // rows kept before the far ones are dropped
const OVERSCAN = 6; // rows drawn beyond those in sight; an error takes three
const END = 20000; // px at each end of a mapped list
const FAR = 5000; // px: a longer step is a drag of the scroll bar
const PREFIX = 1, OPEN = 2, BUSY = 4, CONNECTION = 8;

const MOVES = {
  ArrowDown: (at) => at + 1,
  ArrowUp: (at) => at - 1,
  PageDown: (at, page) => at + page,
  PageUp: (at, page) => at - page,
  Home: () => 0,
  End: (at, page, last) => last,
};
const SORTS = new Map([["name", "Name"], ["size", "Size"], ["date", "Modified"]]);
const KEYS = new Set(["ArrowLeft", "ArrowRight", "Enter", "Backspace"]);

const ICONS = {
  bucket: "M2.2 4.2c0-1.2 2.6-2 5.8-2s5.8.8 5.8 2-2.6 2-5.8 2-5.8-.8-5.8-2Zm0 0L3.6 12c.2 1.1 2 1.8 4.4 1.8s4.2-.7 4.4-1.8l1.4-7.8",
  folder: "M1.8 12.2V3.8c0-.6.4-1 1-1h3.5l1.6 1.8h5.3c.6 0 1 .4 1 1v6.6c0 .6-.4 1-1 1H2.8c-.6 0-1-.4-1-1Z",
  object: "M9.2 1.8H4.3c-.6 0-1 .4-1 1v10.4c0 .6.4 1 1 1h7.4c.6 0 1-.4 1-1V5.3L9.2 1.8Zm0 0v3.5h3.5",
  twisty: "m6 3.8 4.2 4.2L6 12.2",
  copy: "M5.6 5.6V3.2c0-.6.4-1 1-1h6.2c.6 0 1 .4 1 1v6.2c0 .6-.4 1-1 1h-2.4M3.2 5.6h6.2c.6 0 1 .4 1 1v6.2c0 .6-.4 1-1 1H3.2c-.6 0-1-.4-1-1V6.6c0-.6.4-1 1-1Z",
  done: "m3 8.6 3.2 3.2L13 4.6",
  enter: "M3 3v5.2c0 .6.4 1 1 1h8.6M9.4 5.8l3.4 3.4-3.4 3.4",
  refresh: "M13.2 8A5.2 5.2 0 1 1 11.5 4.1M13.4 1.9v3h-3",
  stop: "M4.2 4.2h7.6v7.6H4.2z",
  up: "M8 13.2V3.4M3.9 7.3 8 3.2l4.1 4.1",
  find: "M7 11.6a4.6 4.6 0 1 0 0-9.2 4.6 4.6 0 0 0 0 9.2Zm3.4-1.2 3.4 3.4",
  clear: "m4 4 8 8m0-8-8 8",
  warn: "M8 2.2 14.4 13.4H1.6L8 2.2Zm0 4.2v3.4m0 1.7v.2",
};

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text) node.textContent = text;
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "s3x-icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(svg.namespaceURI, "path"));
  draw(svg, name);
  return svg;
}

function draw(svg, name) {
  if (svg.dataset.icon === name) return;
  svg.dataset.icon = name;
  svg.firstChild.setAttribute("d", ICONS[name]);
}

function button(name, label, act, drawn) {
  const node = make("button", `s3x-button ${name}`);
  node.type = "button";
  if (drawn) {
    node.append(icon(drawn));
    node.title = label;
    node.setAttribute("aria-label", label);
  } else node.textContent = label;
  node.addEventListener("click", act);
  return node;
}

function sizeText(size) {
  let value = size, unit = 0;
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  while (value >= 999.5 && unit < 6) [value, unit] = [value / 1000, unit + 1];
  return `${unit ? Number(value.toPrecision(3)) : value} ${units[unit]}`;
}

/** Where a point of one length lies on another: both ends as they are, the middle in proportion. */
function mapped(y, from, to) {
  if (from <= 2 * END || to <= 2 * END || y <= END) return Math.min(y, to);
  if (y >= from - END) return to - (from - y);
  return END + ((y - END) / (from - 2 * END)) * (to - 2 * END);
}

const dateText = (time) => new Date(time).toISOString().slice(0, 16).replace("T", " ");
const idOf = (row) => `${row.folder}:${row.row}`;

/**
 * What the kernel has said; one for each model and page, shared by its views. Other pages may show the same explorer:
 * focus, choice and questions belong to a page, so every message names it.
 */
class Store extends EventTarget {
  constructor(model) {
    super();
    this.model = model;
    this.page = freshId();
    this.window = [0, MARGIN];
    this.state = null;
    this.rows = new Map();
    this.folders = {};
    this.focus = { id: "", at: 0 };
    this.selected = new Set();
    this.seq = 0;
    this.coming = null;
    this.asked = null;
    this.mode = "";
    this.subject = new Subject(this);
    this.transfers = new Transfers(this);
    model.on("msg:custom", (content, buffers) => this.receive(JSON.parse(content.json), buffers));
  }

  /** Tell the kernel something that changes no line and no focus. */
  send(type, what = {}, buffers = undefined) {
    try {
      this.model.send({ type, page: this.page, ...what }, undefined, buffers);
    } catch {
      // The comm is closed: the kernel was restarted, or the explorer was closed from Python.
      this.dispatchEvent(new CustomEvent("said", { detail: "The kernel no longer knows this explorer: run its cell again" }));
    }
  }

  act(type, what = {}) {
    this.seq += 1;
    this.send(type, { seq: this.seq, ...what });
  }

  on(row, type, what) {
    this.act(type, { place: [row.folder, row.row], ...what });
  }

  receive(message, buffers) {
    if ((message.page ?? this.page) !== this.page) return;
    if (message.type === "rows") this.receiveRows(message);
    else if (message.type === "state") this.receiveState(message);
    else if (["tasks", "asked", "piece"].includes(message.type)) this.transfers.receive(message, buffers);
    else this.subject.receive(message, buffers);
  }

  receiveState(state) {
    if (!this.state || state.version !== this.state.version) {
      this.coming = { state, rows: new Map(), folders: {} };
      // To the page whose user acts the kernel sends the rows by itself.
      if (!state.follow) this.send("rows", { from: this.window[0], to: this.window[1] });
      return;
    }
    this.adopt(state);
    this.tell();
  }

  adopt(state) {
    const before = this.focus.at;
    const [folder, row, at] = state.focus;
    if (state.seq >= this.seq && !this.mode) {
      this.focus = { id: `${folder}:${row}`, at };
      this.selected = new Set(state.selected);
    } else {
      for (const [index, each] of this.rows) if (idOf(each) === this.focus.id) this.focus.at = index;
      this.focus.at = Math.max(0, Math.min(this.focus.at, state.total - 1));
    }
    this.state = state;
    this.shift = this.focus.at - before;
  }

  receiveRows(message) {
    if (message.done) this.asked = null;
    const coming = this.coming?.state.version === message.version ? this.coming : null;
    if (!coming && this.state?.version !== message.version) return;
    const into = coming ?? this;
    Object.assign(into.folders, message.folders);
    message.rows.forEach(([folder, row, kind, depth, rank, name, ...rest], index) => {
      const line = { folder, row, kind, depth, rank, name };
      if (kind === "row") [line.size, line.time, line.storage, line.flags, line.exact] = rest;
      else line.hint = rest[0];
      into.rows.set(message.from + index, line);
    });
    if (coming && message.done) this.commit(coming);
    if (this.mode && this.rows.has(this.focus.at)) this.moveTo(this.focus.at, this.mode);
    else this.tell();
  }

  commit({ state, rows, folders }) {
    [this.rows, this.folders, this.coming] = [rows, folders, null];
    this.adopt(state);
  }

  tell() {
    this.dispatchEvent(new Event("change"));
    this.shift = 0;
  }

  /** Ask for the rows in sight, with a margin, unless they are here or on their way. */
  need(first, last) {
    const total = this.state.total;
    let missing = false;
    for (let at = first; at < last && !missing; at++) missing = !this.rows.has(at);
    if (!missing || this.coming || (this.asked && this.asked[0] <= first && this.asked[1] >= last)) return;
    if (this.rows.size > KEPT) for (const at of this.rows.keys()) if (Math.abs(at - first) > KEPT / 4) this.rows.delete(at);
    this.asked = this.window = [Math.max(0, first - MARGIN), Math.min(total, last + MARGIN)];
    this.send("rows", { from: this.asked[0], to: this.asked[1] });
  }

  uri(row) {
    return this.folders[row.folder][0] + (row.exact ?? row.name);
  }

  /** Give a line the focus; one that is not here yet is told to the kernel when it comes. */
  moveTo(at, mode) {
    const row = this.rows.get(at);
    this.mode = row ? "" : mode;
    this.focus = { id: row ? idOf(row) : "", at };
    if (mode === "one") this.selected = new Set(row && row.row >= 0 ? [idOf(row)] : []);
    if (row) this.on(row, "at", { mode });
    this.tell();
  }
}

let views = 0;

/** One place on the page where the tree is shown. */
class View {
  constructor(store, el) {
    this.store = store;
    this.uid = `s3x-${++views}`;
    this.offset = 0; // px by which rows stand higher in the list than in the scrolled element
    this.scrolled = 0;
    this.slots = [];
    this.typed = "";
    this.typedAt = 0;
    this.queue = [];
    this.said = 0;
    this.build(el);
    this.watch();
  }

  build(el) {
    this.root = make("div", "s3x tex2jax_ignore mathjax_ignore");
    const tree = make("div", "s3x-tree");
    tree.append(this.buildHead(), this.buildBody());
    const main = make("div", "s3x-main");
    this.panel = new Panel(this);
    main.append(tree, this.panel.root);
    this.lines = new Lines(this);
    this.root.append(this.buildBar(), main, this.lines.root, this.buildFoot());
    el.append(this.root);
  }

  buildBar() {
    const bar = make("div", "s3x-bar");
    this.up = button("s3x-up", "Up one folder", () => this.store.act("up"), "up");
    this.crumbs = make("nav", "s3x-crumbs");
    this.crumbs.setAttribute("aria-label", "Location");
    this.refresh = button("s3x-refresh", "Refresh", () => this.store.act(this.store.state?.busy ? "stop" : "refresh"), "refresh");
    bar.append(this.up, this.crumbs, this.buildFind(), this.refresh, ...this.buildActs());
    return bar;
  }

  /** What can be done with objects, where the kernel's end can do it. */
  buildActs() {
    const focused = () => this.store.rows.get(this.store.focus.at);
    this.info = button("s3x-icon-button", "Details and preview", () => this.panel.toggle(focused()?.kind === "row" ? focused() : null), "info");
    this.picker = make("input");
    this.picker.type = "file";
    this.picker.multiple = true;
    this.picker.hidden = true;
    this.picker.setAttribute("aria-label", "Files to upload");
    this.picker.addEventListener("change", () => {
      this.store.transfers.upload(this.picker.files, this.here);
      this.here = undefined;
      this.picker.value = "";
    });
    // Files go where the user was when choosing them began.
    this.upload = this.writing("Upload files here", "upload", () => {
      this.here = this.store.state.here;
      this.picker.click();
    });
    this.remove = this.writing("Delete what is chosen…", "remove", () => this.store.send("delete", { id: freshId() }));
    return [this.info, this.upload, this.remove, this.picker];
  }

  /** A button that writes; where nothing may be written it stays readable and says why. */
  writing(label, drawn, act) {
    const node = button("s3x-icon-button", label, () => {
      if (node.getAttribute("aria-disabled") === "true") this.say(node.title);
      else act();
    }, drawn);
    node.dataset.label = label;
    return node;
  }

  paintActs({ acts, locked }) {
    const { selected } = this.store;
    for (const node of [this.info, this.upload, this.remove]) node.hidden = !acts;
    this.paintWriting(this.upload, locked);
    this.paintWriting(this.remove, locked || (selected.size ? "" : "Choose the objects or folders to delete"));
    this.info.setAttribute("aria-pressed", String(Boolean(this.store.subject.open)));
  }

  paintWriting(node, reason) {
    node.setAttribute("aria-disabled", String(Boolean(reason)));
    node.title = reason || node.dataset.label;
    node.setAttribute("aria-label", reason ? `${node.dataset.label} (${reason})` : node.dataset.label);
  }

  buildFind() {
    const form = make("form", "s3x-find");
    this.find = make("input");
    this.find.type = "text";
    this.find.spellcheck = false;
    this.find.autocomplete = "off";
    this.find.placeholder = "Begins with… or s3://…";
    this.find.setAttribute("aria-label", "Show what begins with this text in the current folder, or go to an s3:// location");
    this.clear = button("s3x-clear", "Show everything again", () => this.clearFind(), "clear");
    this.clear.hidden = true;
    form.append(icon("find"), this.find, this.clear);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.find.value;
      if (text) this.store.act("go", { text });
      else if (this.store.state?.find) this.store.act("clear");
      if (text.includes("://")) this.find.value = "";
      this.body.focus({ preventScroll: true });
    });
    form.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.clearFind();
    });
    return form;
  }

  clearFind() {
    this.find.value = "";
    if (this.store.state?.find) this.store.act("clear");
  }

  buildHead() {
    const head = make("div", "s3x-head s3x-grid");
    this.sorts = [...SORTS].map(([by, label]) => {
      const node = button(`s3x-sort s3x-${by}`, by === "date" ? `${label} (UTC)` : label, () => this.sortBy(by));
      node.dataset.by = by;
      return node;
    });
    head.append(...this.sorts, make("span", "s3x-class", "Storage class"));
    return head;
  }

  sortBy(by) {
    const [now, descending] = this.store.state.sort;
    this.store.act("order", { by, descending: now === by ? !descending : by !== "name" });
    this.rise = this.store.seq;
  }

  buildBody() {
    this.body = make("div", "s3x-body");
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "tree");
    this.body.setAttribute("aria-label", "Buckets, folders and objects");
    this.body.setAttribute("aria-multiselectable", "true");
    this.canvas = make("div", "s3x-canvas");
    this.canvas.setAttribute("role", "none");
    this.body.append(this.canvas);
    return this.body;
  }

  buildFoot() {
    const foot = make("div", "s3x-foot");
    this.summary = make("span", "s3x-summary", "Waiting for the kernel…");
    this.live = make("span", "s3x-live");
    this.live.setAttribute("role", "status");
    foot.append(this.summary, this.live);
    return foot;
  }

  watch() {
    this.changed = () => this.update();
    this.store.addEventListener("change", this.changed);
    this.body.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    // What is typed on a button here is not a shortcut of the notebook.
    this.root.addEventListener("keydown", (event) => {
      if (event.target.closest("button") && event.key !== "Tab") event.stopPropagation();
    });
    this.canvas.addEventListener("mousedown", (event) => this.onPress(event));
    this.canvas.addEventListener("dblclick", (event) => this.onDouble(event));
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.body);
    this.body.addEventListener("dragover", (event) => this.onDrag(event));
    this.body.addEventListener("drop", (event) => this.onDrop(event));
    if (this.store.state) this.update();
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

  close() {
    this.store.removeEventListener("change", this.changed);
    this.panel.close();
    this.lines.close();
    this.resized.disconnect();
    this.root.remove();
  }

  // ---- what the kernel said

  update() {
    const { state, focus, shift } = this.store;
    if (!state) return;
    const inSight = this.isInSight(focus.at - (shift ?? 0));
    this.total = state.total;
    this.canvas.style.height = `${Math.min(this.total, SEGMENT) * ROW}px`;
    this.body.style.setProperty("--s3x-rows", Math.min(Math.max(this.total, 7), 15));
    this.paintBar(state);
    if (this.rise && state.seq >= this.rise) this.rise = this.scrollTo(0);
    else if (shift && inSight) this.scrollTo(this.top() + shift * ROW);
    if (this.follow && state.seq >= this.store.seq) this.reveal();
    if (this.unfolding) this.unfold(this.store);
    this.panel.follow(this.store.rows.get(focus.at));
    this.scrollTo(Math.min(this.top(), this.bottom()));
    while (this.queue.length && !this.waits()) this.takeKey(this.queue.shift());
  }

  paintBar(state) {
    const path = JSON.stringify([state.title, state.crumbs]);
    if (path !== this.path) {
      this.path = path;
      this.crumbs.replaceChildren(...this.crumbNodes(state));
      this.find.title = `Searches in ${[state.title, ...state.crumbs.map(([label]) => label)].join(" › ")}`;
      this.crumbs.scrollLeft = this.crumbs.scrollWidth;
    }
    if (state.find !== this.findShown) this.find.value = this.findShown = state.find;
    this.clear.hidden = !state.find;
    this.up.disabled = !state.crumbs.length;
    draw(this.refresh.firstChild, state.busy ? "stop" : "refresh");
    this.refresh.title = state.busy ? "Stop listing" : "Refresh";
    this.refresh.setAttribute("aria-label", this.refresh.title);
    this.root.classList.toggle("s3x-busy", state.busy);
    this.paintActs(state);
    this.paintSorts(state.sort);
    this.summary.textContent = state.summary;
    if (state.said[0] !== this.said) this.say(state.said[1]);
    this.said = state.said[0];
  }

  crumbNodes(state) {
    const places = [state.title, ...state.crumbs.map(([label]) => label)];
    return places.map((label, index) => {
      const node = button("s3x-crumb", label, () => this.store.act("crumb", { index }));
      node.title = label;
      if (index === places.length - 1) node.setAttribute("aria-current", "location");
      return node;
    });
  }

  paintSorts([by, descending]) {
    for (const node of this.sorts) {
      const now = node.dataset.by === by;
      node.dataset.order = now ? (descending ? "down" : "up") : "";
      node.setAttribute("aria-pressed", String(now));
      const name = SORTS.get(node.dataset.by);
      node.title = now ? `Ordered by ${name}, ${descending ? "descending" : "ascending"}` : `Order by ${name}`;
    }
  }

  say(text) {
    this.live.textContent = text;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => (this.live.textContent = ""), 6000);
  }

  // ---- scrolling: a list taller than an element may be is mapped onto it, end by end pixel for pixel and the middle
  // in proportion; small steps are taken as they are, and the map is set right again at rest

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

  /** Bring the focus into sight, and some lines below it. */
  reveal(below = 0) {
    this.follow = false;
    const y = this.store.focus.at * ROW;
    const end = Math.min(y + (1 + below) * ROW, this.total * ROW);
    if (end > this.top() + this.height()) this.scrollTo(Math.min(y, end - this.height()));
    if (y < this.top()) this.scrollTo(y);
  }

  /** Show the beginning of what was just opened. */
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
    if (at >= from && at < to) this.body.setAttribute("aria-activedescendant", `${this.uid}-${at}`);
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
    if (slot.at !== at) node.id = `${this.uid}-${(slot.at = at)}`;
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
    slot.tools.replaceChildren(...this.tools(row));
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
    const isBucket = this.store.folders[row.folder][0] === "s3://" && opens && !row.name.includes("/");
    const drawn = row.flags & CONNECTION ? "connection" : isBucket ? "bucket" : opens ? "folder" : "object";
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
    slot.storage.textContent = row.storage ?? "";
    const said = [row.name, sized && slot.bytes.textContent, slot.date.textContent, row.storage];
    node.setAttribute("aria-label", said.filter(Boolean).join(", "));
  }

  paintEnd(slot, row) {
    const { node } = slot;
    for (const name of ["aria-expanded", "aria-posinset", "aria-setsize"]) node.removeAttribute(name);
    node.dataset.opens = "";
    node.classList.remove("s3x-listing");
    draw(slot.icon, "warn");
    slot.text.title = [row.name, row.hint].filter(Boolean).join(" ");
    slot.hint.textContent = row.hint ?? "";
    for (const cell of [slot.bytes, slot.date, slot.storage]) cell.textContent = "";
    slot.bar.hidden = true;
    node.setAttribute("aria-label", [row.name, row.hint].filter(Boolean).join(" "));
  }

  /** The buttons of a row; the first one is what Enter does on a line at a folder's end. */
  tools(row) {
    const { store } = this;
    const number = row.folder;
    // The button goes with its line: the keyboard stays in the tree.
    const act = (label, type, what) => button("s3x-act", label, () => {
      this.body.focus({ preventScroll: true });
      store.act(type, { number, ...what });
    });
    const small = (label, act, drawn) => {
      const node = button("s3x-tool", label, act, drawn);
      node.tabIndex = -1;
      return node;
    };
    if (row.kind === "row") {
      if (row.flags & CONNECTION) return [small("Begin the tree here", () => store.on(row, "root"), "enter")];
      const copy = small("Copy the s3:// URI", () => this.copy(row, copy), "copy");
      if (row.flags & PREFIX) return [copy, small("Begin the tree here", () => store.on(row, "root"), "enter")];
      return store.state.acts ? [copy, small("Details and preview", () => this.panel.show(row), "info")] : [copy];
    }
    if (row.kind === "more") return [act("Load more", "more"), act("Load all", "more", { every: true })];
    if (row.kind === "loading") return [act("Cancel", "cancel")];
    if (row.kind === "error") return [act("Retry", "more")];
    return row.kind === "stopped" ? [act("List", "more")] : [];
  }

  // ---- copying

  async copy(row, node) {
    const done = await copyText(this.store.uri(row));
    this.say(done ? "Copied the s3:// URI" : "The browser does not allow copying here");
    if (!node || !done) return;
    draw(node.firstChild, "done");
    setTimeout(() => draw(node.firstChild, "copy"), 1500);
  }

  // ---- mouse and keyboard

  rowOf(event) {
    const slot = this.slots.find((each) => each.node.contains(event.target));
    return slot && !event.target.closest("button") ? slot : undefined;
  }

  onPress(event) {
    const slot = this.rowOf(event);
    if (!slot?.row || event.button) return;
    const { row, at } = slot;
    if (slot.twisty.contains(event.target) && row.flags & PREFIX) this.toggle(row);
    else this.store.moveTo(at, event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one");
    if (event.shiftKey) event.preventDefault();
  }

  onDouble(event) {
    const slot = this.rowOf(event);
    if (slot?.row?.kind !== "row" || slot.twisty.contains(event.target)) return;
    if (slot.row.flags & PREFIX) this.toggle(slot.row);
    else if (this.store.state.acts) this.panel.show(slot.row);
  }

  toggle(row) {
    this.unfolding = idOf(row);
    return this.actOn("toggle", { place: [row.folder, row.row] });
  }

  onKey(event) {
    if (event.target !== this.body || event.altKey || !this.store.state) return;
    const { key, shiftKey } = event;
    const keyed = { key, shiftKey, control: event.ctrlKey || event.metaKey, time: event.timeStamp };
    const ours = keyed.control ? key === "c" || key === " " || key in MOVES : key.length === 1 || key in MOVES || KEYS.has(key);
    if (!ours || !(this.waits() ? this.queue.push(keyed) : this.takeKey(keyed))) return;
    event.preventDefault();
    event.stopPropagation();
  }

  waits() { return this.follow || this.store.mode !== ""; }

  /** Do what a key says; one that comes before the last answer waits for it, as it means what will be there then. */
  takeKey(keyed) {
    const row = this.store.rows.get(this.store.focus.at);
    if (keyed.control && keyed.key === "c") return this.copyFocused(row);
    if (keyed.key === " " && row) return this.spaceOn(row, keyed.control);
    return this.moveByKey(keyed) || (!keyed.control && (this.actByKey(keyed, row) || this.typeAhead(keyed)));
  }

  copyFocused(row) {
    if (row?.kind === "row") this.copy(row);
    return row?.kind === "row";
  }

  /** Space shows a row and hides it again; with Control it chooses the row as well, or not any more. */
  spaceOn(row, control) {
    const shows = this.store.state.acts && row.kind === "row" && !(row.flags & CONNECTION);
    if (control || !shows) return this.actOn("at", { place: [row.folder, row.row], mode: "toggle" });
    this.panel.toggle(row);
    return true;
  }

  moveByKey({ key, shiftKey, control }) {
    if (!(key in MOVES)) return false;
    const { at } = this.store.focus;
    const to = MOVES[key](at, Math.max(1, Math.floor(this.height() / ROW) - 1), this.total - 1);
    this.typed = "";
    const mode = shiftKey ? "range" : control ? "move" : "one";
    this.store.moveTo(this.skipPads(Math.max(0, Math.min(to, this.total - 1)), to >= at), mode);
    this.reveal();
    return true;
  }

  /** An error takes three lines and is one step. */
  skipPads(to, down) {
    const isPad = (at) => this.store.rows.get(at)?.kind === "pad";
    let at = to;
    while (down && isPad(at) && at < this.total - 1) at += 1;
    while (isPad(at) && at > 0) at -= 1;
    return at;
  }

  actByKey({ key, shiftKey }, row) {
    if (key === "Backspace") return this.actOn("up");
    if (!row) return false;
    const opens = row.flags & PREFIX;
    const act = { ArrowRight: opens && "right", ArrowLeft: "left", "*": row.row >= 0 && "siblings" }[key];
    if (act === "right") this.unfolding = idOf(row);
    if (act) return this.actOn(act, { place: [row.folder, row.row] });
    if (key !== "Enter") return key in { ArrowRight: 0, ArrowLeft: 0, "*": 0 };
    if (opens) return this.toggle(row);
    if (row.kind === "row" && this.store.state.acts) this.panel.show(row, { enter: true });
    const acts = row.row < 0 ? this.tools(row) : [];
    acts[shiftKey ? acts.length - 1 : 0]?.click();
    return true;
  }

  actOn(type, what) {
    this.follow = true;
    this.store.act(type, what);
    return true;
  }

  typeAhead({ key, time }) {
    if (key.length !== 1) return false;
    if (time - this.typedAt > 700) this.typed = "";
    this.typedAt = time;
    this.typed += key;
    return this.actOn("typed", { text: this.typed });
  }
}

export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new Store(model);
      store.act("begin");
    },
    render({ el }) {
      const view = new View(store, el);
      return () => view.close();
    },
  };
};
