// The buttons in a row.

import { button } from "./elements.js";
import { CONNECTION, PREFIX } from "./store.js";

/** The buttons of a row; on a line at a folder's end, Enter presses the first. */
export function rowTools(view, row) {
  const { store } = view;
  const number = row.folder;
  // The button disappears with its line, so keep the focus in the tree.
  const act = (label, type, what) => button("s3x-act", label, () => {
    view.rows.focus();
    store.act(type, { number, ...what });
  });
  const small = (label, does, drawn) => {
    const node = button("s3x-tool", label, does, drawn);
    node.tabIndex = -1;
    return node;
  };
  if (row.kind === "row") {
    if (row.flags & CONNECTION) return [small("Begin the tree here", () => store.act("root", { place: [row.folder, row.row] }), "enter")];
    const copy = small("Copy the s3:// URI", () => view.copy(row, copy), "copy");
    if (row.flags & PREFIX) return [copy, small("Begin the tree here", () => store.act("root", { place: [row.folder, row.row] }), "enter")];
    return store.state.acts ? [copy, small("Details and preview", () => view.panel.show(row), "info")] : [copy];
  }
  if (row.kind === "more") return [act("Load more", "more"), act("Load all", "more", { every: true })];
  if (row.kind === "loading") return [act("Cancel", "cancel")];
  if (row.kind === "error") return [act("Retry", "more")];
  return row.kind === "stopped" ? [act("List", "more")] : [];
}
