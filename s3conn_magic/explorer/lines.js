// Uploads, downloads and deletions: bytes between the page and the kernel, and a line for each below the rows.

const PIECE = 1024 * 1024; // bytes of an upload sent at once
const DONE_FOR = 10000; // ms that a line which has succeeded stays

let fresh = 0;
const freshId = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}-${++fresh}`;

/** What is under way; one for each model, shared by its views. */
class Transfers {
  constructor(store) {
    this.store = store;
    this.tasks = [];
    this.files = new Map();
    this.coming = new Map();
    this.leaving = new Set();
    this.names = new Map();
  }

  receive(message, buffers) {
    if (message.type === "piece") return this.takePiece(message, buffers[0]);
    if (message.type === "asked") this.takeNames(message);
    else this.takeTasks(message);
    this.store.dispatchEvent(new Event("tasks"));
  }

  /** What a question is about comes before it, in parts. */
  takeNames({ question, from, names }) {
    const known = this.names.get(question) ?? [];
    if (known.length === from) this.names.set(question, [...known, ...names]);
  }

  takeTasks({ tasks }) {
    // What is asked in another page is answered there.
    this.tasks = tasks.filter(({ state, page }) => state !== "asking" || page === this.store.page);
    const asked = new Set(tasks.map(({ question }) => question));
    for (const question of this.names.keys()) if (!asked.has(question)) this.names.delete(question);
    for (const task of this.tasks) {
      if (this.files.has(task.id)) this.pump(task);
      if (task.state === "done") this.dismissLater(task.id);
    }
  }

  dismissLater(id) {
    if (this.leaving.has(id)) return;
    this.leaving.add(id);
    setTimeout(() => this.store.send("halt", { id }), DONE_FOR);
  }

  // ---- to the kernel

  upload(files, here = this.store.state?.here) {
    for (const file of files) {
      const id = freshId();
      this.files.set(id, { file, at: 0, sent: 0, credit: 0, busy: false });
      this.store.send("upload", { id, name: file.name, size: file.size, mime: file.type, here });
    }
  }

  /** Send as many pieces as the kernel has room for, in their order. */
  async pump(task) {
    const state = this.files.get(task.id);
    state.credit = task.credit;
    if (!["working", "asking"].includes(task.state)) this.files.delete(task.id);
    if (state.busy || task.state !== "working") return;
    state.busy = true;
    try {
      while (state.sent < state.credit && state.at < state.file.size && this.files.has(task.id)) {
        const piece = await state.file.slice(state.at, state.at + PIECE).arrayBuffer();
        this.store.send("chunk", { id: task.id, at: state.at }, [piece]);
        state.at += piece.byteLength;
        state.sent += 1;
      }
    } catch {
      this.store.send("halt", { id: task.id }); // the file is gone or may not be read any more
    }
    state.busy = false;
  }

  // ---- from the kernel

  download() {
    const id = freshId();
    this.coming.set(id, { parts: [], size: 0 });
    this.store.subject.send("download", { id });
  }

  takePiece({ id, at, total, name, mime }, buffer) {
    const file = this.coming.get(id);
    if (!file) return;
    if (at !== file.size) {
      this.coming.delete(id);
      this.store.send("halt", { id });
      this.store.dispatchEvent(new CustomEvent("said", { detail: `A part of ${name} was lost on its way: download it again, or copy a link` }));
      return;
    }
    file.parts.push(buffer);
    file.size += buffer.byteLength;
    if (file.size < total) return;
    this.coming.delete(id);
    this.save(new Blob(file.parts, { type: mime }), name);
  }

  save(blob, name) {
    const link = make("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
}

/** The lines of one view. */
class Lines {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.nodes = new Map();
    this.root = make("ul", "s3x-lines");
    this.root.setAttribute("aria-label", "Uploads, downloads and deletions");
    this.changed = () => this.paint();
    this.told = (event) => view.say(event.detail);
    this.store.addEventListener("tasks", this.changed);
    this.store.addEventListener("said", this.told);
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Tab") event.stopPropagation();
      if (event.key === "Escape") event.target.closest("[data-state=asking]")?.querySelector(".s3x-line-tools").lastChild.click();
    });
    this.paint();
  }

  close() {
    this.store.removeEventListener("tasks", this.changed);
    this.store.removeEventListener("said", this.told);
  }

  paint() {
    const { tasks } = this.store.transfers;
    this.root.hidden = !tasks.length;
    const kept = new Set(tasks.map(({ id }) => id));
    for (const [id, line] of this.nodes) {
      if (kept.has(id)) continue;
      if (line.node.contains(document.activeElement)) this.view.body.focus({ preventScroll: true });
      line.node.remove();
      this.nodes.delete(id);
    }
    for (const task of tasks) this.paintTask(task);
  }

  paintTask(task) {
    const line = this.nodes.get(task.id) ?? this.addLine(task);
    const { node, text, hint, bar, tools } = line;
    text.textContent = task.text || this.progress(task);
    hint.textContent = task.hint;
    bar.hidden = task.state !== "working";
    const part = task.total ? task.done / task.total : 0;
    bar.firstChild.style.width = `${part * 100}%`;
    bar.setAttribute("aria-valuenow", Math.round(part * 100));
    if (node.dataset.state === task.state) return;
    node.dataset.state = task.state;
    this.paintAsked(line, task);
    const within = this.view.root.contains(document.activeElement);
    const had = tools.contains(document.activeElement);
    tools.replaceChildren(...this.tools(task));
    text.setAttribute("role", task.state === "failed" ? "alert" : "status");
    if (task.state === "asking" && within) tools.lastChild.focus();
    else if (had) this.view.body.focus({ preventScroll: true });
  }

  /** Everything that a question is about, each with its place, to scroll through. */
  paintAsked({ asked }, { state, question, count }) {
    const names = state === "asking" ? (this.store.transfers.names.get(question) ?? []) : [];
    asked.hidden = !names.length;
    asked.setAttribute("aria-label", `${count.toLocaleString("en")} objects`);
    asked.replaceChildren(...names.map((name) => make("li", "", name)));
  }

  progress({ kind, done, total }) {
    const number = (value) => (kind === "delete" ? value.toLocaleString("en") : sizeText(value));
    return total ? `${number(done)} of ${number(total)}` : "";
  }

  addLine({ id, kind, name }) {
    const node = make("li", "s3x-line");
    const about = make("div", "s3x-line-about");
    const title = make("span", "s3x-line-name", name);
    const text = make("span", "s3x-line-text");
    const hint = make("div", "s3x-line-hint");
    const bar = make("div", "s3x-progress");
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-label", `${kind} ${name}`);
    bar.append(make("span"));
    const tools = make("span", "s3x-line-tools");
    const asked = make("ul", "s3x-asked");
    asked.tabIndex = 0;
    asked.hidden = true;
    about.append(title, text, asked, hint, bar);
    node.append(icon({ upload: "upload", download: "download", delete: "remove" }[kind]), about, tools);
    this.root.append(node);
    const line = { node, text, asked, hint, bar, tools };
    this.nodes.set(id, line);
    return line;
  }

  tools({ id, state, confirm, question, count }) {
    const stop = () => this.store.send("halt", { id });
    if (state === "working") return [button("s3x-act", "Stop", stop)];
    if (state !== "asking") return [button("s3x-small", "Dismiss", stop, "clear")];
    const yes = button("s3x-act s3x-danger", confirm, () => this.store.send("confirm", { id, question }));
    // What could not be read is not agreed to.
    yes.disabled = (this.store.transfers.names.get(question)?.length ?? 0) !== count;
    return [yes, button("s3x-act", "Cancel", stop)];
  }
}
