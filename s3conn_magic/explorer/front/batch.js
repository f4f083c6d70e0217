// Many uploads in one line with one question; each can also be shown.

import { button, make } from "./elements.js";

const MANY = 4; // from this many uploads on they share a line

/** The shared line of one view. */
export class Batch {
  constructor(view, list) {
    this.store = view.store;
    this.list = list;
    this.open = false;
    this.root = make("li", "s3x-line s3x-batch");
    const about = make("div", "s3x-line-about");
    this.text = make("span", "s3x-line-text");
    this.text.setAttribute("role", "status");
    this.asked = make("ul", "s3x-asked");
    this.asked.tabIndex = 0;
    this.asked.setAttribute("aria-label", "What would be replaced");
    about.append(make("span", "s3x-line-name", "Uploads"), this.text, this.asked);
    this.tools = make("span", "s3x-line-tools");
    this.root.append(about, this.tools);
  }

  /**
   * Show the status of the tasks, and their questions.
   * @param {import("./protocol.js").Task[]} tasks
   * @param {() => void} again redraws the lines
   * @returns {(task: import("./protocol.js").Task) => boolean} whether a task needs no line of its own
   */
  paint(tasks, again) {
    const uploads = tasks.filter(({ kind }) => kind === "upload");
    const many = uploads.length >= MANY;
    if (!many) {
      this.root.remove();
      return () => false;
    }
    if (!this.root.isConnected) this.list.prepend(this.root);
    const asking = uploads.filter(({ state }) => state === "asking");
    this.text.textContent = this.summary(uploads);
    const asked = asking.map(({ id, question }) => `${id} ${question}`).join();
    const shown = `${asked} ${this.open}`;
    if (shown !== this.shown) this.paintAsked(asking, again);
    this.shown = shown;
    this.root.dataset.state = asking.length ? "asking" : "working";
    return ({ kind, state }) => kind === "upload" && state !== "failed" && !this.open;
  }

  summary(uploads) {
    const words = { done: "done", working: "under way", asking: "already there", failed: "failed", stopped: "stopped" };
    const counts = Object.entries(words).map(([state, word]) => [uploads.filter((each) => each.state === state).length, word]);
    return `${uploads.length}: ${counts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`).join(", ")}`;
  }

  /** The answer covers exactly the questions listed, and none that come later. */
  paintAsked(asking, again) {
    const had = this.tools.contains(document.activeElement);
    this.asked.hidden = !asking.length;
    this.asked.replaceChildren(...asking.map(({ text }) => make("li", "", text)));
    const all = (type) => () => {
      for (const { id, question } of asking) this.store.send(type, type === "confirm" ? { id, question } : { id });
    };
    const each = button("s3x-act", this.open ? "Show as one" : "Show each", () => {
      this.open = !this.open;
      again();
    });
    const answers = asking.length ? [button("s3x-act s3x-danger", `Replace all ${asking.length}`, all("confirm")), button("s3x-act", "Skip all", all("halt"))] : [];
    this.tools.replaceChildren(...answers, each);
    if (had) (answers[1] ?? each).focus();
  }
}
