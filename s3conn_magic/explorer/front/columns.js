// The column headings, which sort the rows.

import { button, make } from "./elements.js";

const SORTS = new Map([["name", "Name"], ["size", "Size"], ["date", "Modified"]]);

/** The headings of one view. */
export class Columns {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.build();
  }

  build() {
    this.root = make("div", "s3x-head s3x-grid");
    this.sorts = [...SORTS].map(([by, label]) => {
      const node = button(`s3x-sort s3x-${by}`, by === "date" ? `${label} (UTC)` : label, () => this.sortBy(by));
      node.dataset.by = by;
      return node;
    });
    this.root.append(...this.sorts, make("span", "s3x-class", "Storage class"));
  }

  sortBy(by) {
    const [now, descending] = this.store.state.sort;
    this.store.act("order", { by, descending: now === by ? !descending : by !== "name" });
    this.view.rows.rise = this.store.seq;
  }

  paint([by, descending]) {
    for (const node of this.sorts) {
      const now = node.dataset.by === by;
      node.dataset.order = now ? (descending ? "down" : "up") : "";
      node.setAttribute("aria-pressed", String(now));
      const name = SORTS.get(node.dataset.by);
      node.title = now ? `Ordered by ${name}, ${descending ? "descending" : "ascending"}` : `Order by ${name}`;
    }
  }
}
