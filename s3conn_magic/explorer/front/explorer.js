// The browser's side of the explorer: one store per model and page, and a view for each place that shows it.

import { Acts } from "./acts.js";
import { Bar } from "./bar.js";
import { Columns } from "./columns.js";
import { copyText, draw, make } from "./elements.js";
import { Keys } from "./keys.js";
import { Lines } from "./lines.js";
import { Menu } from "./menu.js";
import { Panel } from "./panel.js";
import { Pointer } from "./pointer.js";
import { Rows } from "./rows.js";
import { Store } from "./store.js";

/** One place on the page that shows the tree: holds its parts together, and updates them. */
class View {
  constructor(store, el) {
    this.store = store;
    store.views += 1;
    this.uid = `s3x-${store.page}-${store.views}`; // ids differ from those of other explorers on the page
    this.said = 0;
    this.root = make("div", "s3x tex2jax_ignore mathjax_ignore");
    this.tree = make("div", "s3x-tree");
    this.rows = new Rows(this);
    this.acts = new Acts(this);
    this.bar = new Bar(this);
    this.columns = new Columns(this);
    this.panel = new Panel(this);
    this.lines = new Lines(this);
    this.menu = new Menu(this);
    this.keys = new Keys(this);
    this.pointer = new Pointer(this);
    this.place(el);
    this.holdFocus();
    this.changed = () => this.update();
    this.store.addEventListener("change", this.changed);
    // Keys typed on a button must not trigger the notebook's shortcuts.
    this.root.addEventListener("keydown", (event) => {
      if (event.target.closest("button") && event.key !== "Tab") event.stopPropagation();
    });
    if (this.store.state) this.update();
  }

  place(el) {
    this.tree.append(this.columns.root, this.rows.body);
    const main = make("div", "s3x-main");
    main.append(this.tree, this.panel.root);
    this.root.append(this.bar.root, main, this.lines.root, this.buildFoot(), this.menu.root, this.menu.keys);
    el.append(this.root);
    this.resized = new ResizeObserver(() => this.cover());
    this.resized.observe(this.root);
  }

  buildFoot() {
    const foot = make("div", "s3x-foot");
    this.summary = make("span", "s3x-summary", "Waiting for the kernel…");
    this.live = make("span", "s3x-live");
    this.live.setAttribute("role", "status");
    // For screen readers: how much there is, and what failed.
    this.heard = make("span", "s3x-heard");
    this.heard.setAttribute("role", "status");
    foot.append(this.summary, this.live, this.heard);
    return foot;
  }

  /** If the focused element is redrawn or removed, focus the panel's content or the rows instead. */
  holdFocus() {
    /** @type {any} */
    let held = null;
    let within = false;
    this.root.addEventListener("focusin", ({ target }) => {
      held = target;
      within = this.panel.content.contains(target);
    });
    this.root.addEventListener("focusout", ({ target, relatedTarget }) => setTimeout(() => {
      if (!relatedTarget && held === target && target.isConnected && target.checkVisibility()) held = null;
    }));
    this.drawn = new MutationObserver(() => {
      if (!held || (held.isConnected && held.checkVisibility() && !held.disabled)) return;
      const root = /** @type {Document | ShadowRoot} */ (this.root.getRootNode());
      const free = [null, document.body, held].includes(root.activeElement);
      held = null;
      if (free && within && !this.panel.root.hidden) this.panel.content.focus({ preventScroll: true });
      else if (free) this.rows.focus();
    });
    this.drawn.observe(this.root, { childList: true, subtree: true, attributeFilter: ["hidden", "disabled"] });
  }

  close() {
    this.drawn.disconnect();
    this.store.removeEventListener("change", this.changed);
    this.panel.close();
    this.lines.close();
    this.rows.close();
    this.resized.disconnect();
    this.root.remove();
  }

  /** If the panel lies over the tree for lack of room, take the tree out of focus order and from screen readers. */
  cover() {
    const { tree, panel } = this;
    if (!panel) return;
    const covers = !panel.root.hidden && getComputedStyle(panel.root).position === "absolute";
    const within = tree.contains(document.activeElement);
    tree.inert = covers;
    if (covers && within) panel.focus();
  }

  /** Show the tree again if the panel lies over it. */
  uncover() {
    if (this.tree.inert) this.panel.hide();
  }

  /** Show the kernel's new state. */
  update() {
    const { state, focus } = this.store;
    if (!state) return;
    this.root.classList.add("s3x-told");
    this.root.classList.toggle("s3x-busy", state.busy);
    this.bar.paint(state);
    this.acts.paint(state);
    this.columns.paint(state.sort);
    this.summary.textContent = state.summary;
    if (!state.busy) this.hear(this.failure(focus.at) || state.summary);
    if (state.said[0] !== this.said) this.say(state.said[1]);
    this.said = state.said[0];
    this.rows.update();
    this.panel.follow(this.store.rows.get(focus.at));
    this.rows.scrollTo(Math.min(this.rows.top(), this.rows.bottom()));
    this.keys.update();
  }

  /** The error at the focused row, or just below it. */
  failure(at) {
    const near = [at, at + 1].map((each) => this.store.rows.get(each)).find((row) => row?.kind === "error");
    return near ? `${near.name} ${near.hint ?? ""}` : "";
  }

  hear(text) {
    if (this.heard.textContent !== text) this.heard.textContent = text;
  }

  say(text) {
    this.live.textContent = text;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => (this.live.textContent = ""), 6000);
  }

  /** Copy a text and say so. */
  async copyAs(text, what) {
    const done = await copyText(text);
    this.say(done ? `Copied ${what}` : "The browser does not allow copying here");
    return done;
  }

  async copy(row, node) {
    const done = await this.copyAs(this.store.uri(row), "the s3:// URI");
    if (!node || !done) return;
    draw(node.firstChild, "done");
    setTimeout(() => draw(node.firstChild, "copy"), 1500);
  }
}

export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new Store(model);
      store.act("begin", {});
    },
    render({ el }) {
      const view = new View(store, el);
      return () => view.close();
    },
  };
};
