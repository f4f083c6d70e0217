// The lines below the rows: uploads, downloads, deletions and restores.

import { Batch } from "./batch.js";
import { button, icon, make } from "./elements.js";
import { sizeText } from "./texts.js";

/** The lines of one view. */
export class Lines {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.nodes = new Map();
    this.root = make("ul", "s3x-lines");
    this.root.setAttribute("aria-label", "Uploads, downloads, deletions and restores");
    this.batch = new Batch(view, this.root);
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
      if (line.node.contains(document.activeElement)) this.view.rows.focus();
      line.node.remove();
      this.nodes.delete(id);
    }
    const isIn = this.batch.paint(tasks, () => this.paint());
    for (const task of tasks) {
      this.paintTask(task);
      this.nodes.get(task.id).node.hidden = isIn(task);
    }
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
    if (task.state === "asking" && within && !node.hidden) tools.lastChild.focus();
    else if (had) this.view.rows.focus();
  }

  /** Everything that a question is about, in a list to scroll through. */
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
    node.append(icon({ upload: "upload", download: "download", delete: "remove", restore: "restore" }[kind]), about, tools);
    this.root.append(node);
    const line = { node, text, asked, hint, bar, tools };
    this.nodes.set(id, line);
    return line;
  }

  tools({ id, kind, state, confirm, question, count }) {
    const stop = () => this.store.send("halt", { id });
    if (state === "working") return [button("s3x-act", "Stop", stop)];
    if (state !== "asking") return [button("s3x-small", "Dismiss", stop, "clear")];
    const yes = button(kind === "delete" || kind === "upload" ? "s3x-act s3x-danger" : "s3x-act s3x-yes", confirm, () => this.store.send("confirm", { id, question }));
    // Do not accept an answer before the user could read everything it is about.
    yes.disabled = (this.store.transfers.names.get(question)?.length ?? 0) !== count;
    return [yes, button("s3x-act", "Cancel", stop)];
  }
}
