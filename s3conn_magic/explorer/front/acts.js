// Buttons in the bar for actions on objects, if the kernel supports them.

import { button, make } from "./elements.js";
import { freshId } from "./transfers.js";

/** The buttons of one view. */
export class Acts {
  constructor(view) {
    this.view = view;
    this.store = view.store;
    this.build();
  }

  build() {
    const focused = () => this.store.rows.get(this.store.focus.at);
    this.info = button("s3x-icon-button", "Details and preview", () => this.view.panel.toggle(focused()?.kind === "row" ? focused() : null), "info");
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
    // Files go to the folder that was open when the user began to choose them.
    this.upload = this.writing("Upload files here", "upload", () => {
      this.here = this.store.state.here;
      this.picker.click();
    });
    this.remove = this.writing("Delete what is chosen…", "remove", () => this.store.send("delete", { id: freshId() }));
    this.deleted = button("s3x-icon-button", "Show deleted objects", () => this.store.act("deleted", { shown: !this.store.state.deleted }), "restore");
    this.nodes = [this.info, this.upload, this.remove, this.deleted, this.picker];
  }

  /** A button for writing; if writing is refused it stays readable and says why. */
  writing(label, drawn, act) {
    const node = button("s3x-icon-button", label, () => {
      if (node.getAttribute("aria-disabled") === "true") this.view.say(node.title);
      else act();
    }, drawn);
    node.dataset.label = label;
    return node;
  }

  paint({ acts, locked, deleted }) {
    const { selected } = this.store;
    for (const node of [this.info, this.upload, this.remove, this.deleted]) node.hidden = !acts;
    this.deleted.setAttribute("aria-pressed", String(deleted));
    this.paintWriting(this.upload, locked);
    this.paintWriting(this.remove, locked || (selected.size ? "" : "Choose the objects or folders to delete"));
    this.info.setAttribute("aria-pressed", String(Boolean(this.store.subject.open)));
  }

  paintWriting(node, reason) {
    node.setAttribute("aria-disabled", String(Boolean(reason)));
    node.title = reason || node.dataset.label;
    node.setAttribute("aria-label", reason ? `${node.dataset.label} (${reason})` : node.dataset.label);
  }
}
