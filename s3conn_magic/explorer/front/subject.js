// What the panel shows, as the kernel has said it.

import { freshId } from "./transfers.js";

/** What the kernel has said of the panel's subject; one for each model, shared by its views. */
export class Subject {
  constructor(store) {
    this.store = store;
    /** @type {Partial<import("./protocol.js").AnswerOf<"panel">>} */
    this.head = { open: false };
    /** @type {Partial<import("./protocol.js").AnswerOf<"details">>} */
    this.details = {};
    /** @type {Partial<import("./protocol.js").AnswerOf<"preview">>} */
    this.preview = {};
    /** @type {import("./protocol.js").AnswerOf<"analysis">} */
    this.analysis = null;
    /** @type {{url?: string, parts?: BlobPart[], size?: number}} */
    this.image = null;
    this.links = new Map();
  }

  get open() { return this.head.open; }

  clear(head) {
    if (this.image?.url) URL.revokeObjectURL(this.image.url);
    Object.assign(this, { head, details: {}, preview: {}, analysis: null, image: null });
  }

  receive(message, buffers) {
    if (message.type === "panel") this.clear(message);
    else if (message.type === "link") return this.takeLink(message);
    else if (message.serial !== this.head.serial) return;
    else if (message.type === "image") this.takeImage(message, buffers[0]);
    else this[message.type] = message;
    this.store.dispatchEvent(new CustomEvent("panel", { detail: message.type }));
  }

  takeImage({ at, total, mime }, buffer) {
    if (at === 0) this.image = { parts: [], size: 0 };
    if (this.image?.size !== at) return; // a piece was lost, or came for another page
    this.image.parts.push(buffer);
    this.image.size += buffer.byteLength;
    if (this.image.size === total) this.image = { url: URL.createObjectURL(new Blob(this.image.parts, { type: mime })) };
  }

  /**
   * Ask for something to be done with what is shown, and with nothing else that may take its place meanwhile.
   * @template {keyof import("./protocol.js").Requests} K
   * @param {K} type
   * @param {Omit<import("./protocol.js").Requests[K], "serial">} what
   */
  send(type, what) {
    this.store.send(type, /** @type {any} */ ({ serial: this.head.serial, ...what }));
  }

  /** @param {number} seconds @returns {Promise<import("./protocol.js").AnswerOf<"link">>} */
  link(seconds) {
    const id = freshId();
    this.send("link", { id, seconds });
    return new Promise((resolve) => this.links.set(id, resolve));
  }

  takeLink(message) {
    this.links.get(message.id)?.(message);
    this.links.delete(message.id);
  }
}
