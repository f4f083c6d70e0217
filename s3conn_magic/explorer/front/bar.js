// The bar: location, search, refresh.

import { button, draw, icon, make } from "./elements.js";

const TYPING = 150; // ms after the last key until the rows are filtered

/** The bar of one view. */
export class Bar {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.path = "";
    this.findShown = "";
    this.root = make("div", "s3x-bar");
    this.up = button("s3x-up", "Up one folder", () => this.actOn("up", {}), "up");
    this.crumbs = make("nav", "s3x-crumbs");
    this.crumbs.setAttribute("aria-label", "Location");
    this.refresh = button("s3x-refresh", "Refresh", () => this.store.act(this.store.state?.busy ? "stop" : "refresh", {}), "refresh");
    this.root.append(this.up, this.crumbs, this.buildFind(), this.refresh, ...view.acts.nodes, button("s3x-icon-button", "Keys", () => view.menu.showKeys(), "keys"));
  }

  /** Change the tree, with the tree in view. */
  actOn(type, what) {
    this.view.uncover();
    this.store.act(type, what);
  }

  buildFind() {
    const form = make("form", "s3x-find");
    this.find = make("input");
    this.find.type = "text";
    this.find.spellcheck = false;
    this.find.autocomplete = "off";
    this.find.placeholder = "Filter, Enter: search below";
    this.find.setAttribute("aria-label", "Filter what is loaded; with Enter search below the current folder, also by a pattern such as *.csv, or go to an s3:// location");
    this.clear = button("s3x-clear", "Show everything again", () => this.clearFind(), "clear");
    this.clear.hidden = true;
    form.append(icon("find"), this.find, this.clear);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.find.value;
      clearTimeout(this.typing);
      if (text) this.actOn("search", { text });
      else if (this.store.state?.find) this.store.act("clear", {});
      if (text.includes("://")) this.find.value = "";
      this.view.rows.focus();
    });
    form.setAttribute("role", "search");
    this.find.addEventListener("input", () => this.filterSoon());
    form.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.clearFind();
    });
    return form;
  }

  /** Filter the loaded rows by name while the user types; patterns and locations wait for Enter. */
  filterSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.view.uncover();
      const text = /[*?[{]|:\/\//.test(this.find.value) ? "" : this.find.value;
      if (this.store.state && text.toLowerCase() !== this.store.state.filter && !this.store.state.find) this.store.act("filter", { text });
    }, TYPING);
  }

  clearFind() {
    clearTimeout(this.typing);
    this.find.value = "";
    if (this.store.state?.find || this.store.state?.filter) this.store.act("clear", {});
  }

  paint(state) {
    const path = JSON.stringify([state.title, state.crumbs]);
    if (path !== this.path) {
      this.path = path;
      this.crumbs.replaceChildren(...this.crumbNodes(state));
      this.find.title = `Searches in ${[state.title, ...state.crumbs.map(([label]) => label)].join(" › ")}`;
      this.crumbs.scrollLeft = this.crumbs.scrollWidth;
    }
    if (state.find !== this.findShown) this.find.value = this.findShown = state.find;
    this.clear.hidden = !state.find && !state.filter;
    this.up.disabled = !state.crumbs.length;
    draw(this.refresh.firstChild, state.busy ? "stop" : "refresh");
    this.refresh.title = state.busy ? "Stop listing" : "Refresh";
    this.refresh.setAttribute("aria-label", this.refresh.title);
  }

  crumbNodes(state) {
    const places = [state.title, ...state.crumbs.map(([label]) => label)];
    return places.map((label, index) => {
      const node = button("s3x-crumb", label, () => this.actOn("crumb", { index }));
      node.title = label;
      if (index === places.length - 1) node.setAttribute("aria-current", "location");
      return node;
    });
  }
}
