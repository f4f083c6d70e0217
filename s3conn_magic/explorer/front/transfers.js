// Uploads and downloads: bytes between page and kernel.

import { make } from "./elements.js";

const PIECE = 1024 * 1024; // bytes per piece of an upload
const DONE_FOR = 10000; // ms until the line of a successful task is removed

let fresh = 0;
export const freshId = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}-${++fresh}`;

/** All tasks; one object per model, shared by its views. */
export class Transfers {
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

  /** The names that a question is about arrive before it, in parts. */
  takeNames({ question, from, names }) {
    const known = this.names.get(question) ?? [];
    if (known.length === from) this.names.set(question, [...known, ...names]);
  }

  takeTasks({ tasks }) {
    // Questions of other pages are answered there.
    this.tasks = tasks.filter(({ state, page }) => state !== "asking" || page === this.store.page);
    const asked = new Set(tasks.map(({ question }) => question));
    for (const question of this.names.keys()) if (!asked.has(question)) this.names.delete(question);
    for (const task of this.tasks) {
      if (this.files.has(task.id)) this.pump(task);
      if (["done", "failed", "stopped"].includes(task.state)) this.coming.delete(task.id);
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

  /** Send as many pieces as the kernel has room for, in order. */
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
      this.store.send("halt", { id: task.id }); // the file is gone or no longer readable
    }
    state.busy = false;
  }

  // ---- from the kernel

  /** Download the object in the panel, or save it beside the notebook. */
  download(save = false) {
    this.store.subject.send("download", { id: this.expected(), save });
  }

  /** Download everything selected as one file. */
  zip(save = false) {
    this.store.send("zip", { id: this.expected(), save });
  }

  expected() {
    const id = freshId();
    this.coming.set(id, { parts: [], size: 0 });
    return id;
  }

  takePiece({ id, at, name, mime, done }, buffer) {
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
    if (!done) return;
    this.coming.delete(id);
    this.save(new Blob(file.parts, { type: mime }), name);
    this.store.send("taken", { id, size: file.size });
  }

  save(blob, name) {
    const link = make("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
}
