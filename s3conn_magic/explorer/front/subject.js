// What the panel shows, as received from the kernel.

import { freshId } from "./transfers.js";

/** The panel's subject as received from the kernel; one per model, shared by its views. */
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
    /** @type {import("./protocol.js").AnswerOf<"datasets">} */
    this.datasets = null;
    /** @type {import("./protocol.js").AnswerOf<"properties">} */
    this.properties = null;
    /** @type {import("./protocol.js").AnswerOf<"code">} */
    this.code = null;
    /** @type {import("./protocol.js").AnswerOf<"loaded">} */
    this.loaded = null;
    /** @type {{url?: string, parts?: BlobPart[], size?: number}} */
    this.image = null;
    this.asked = new Map();
  }

  get open() { return this.head.open; }

  clear(head) {
    if (this.image?.url) URL.revokeObjectURL(this.image.url);
    Object.assign(this, { head, details: {}, preview: {}, analysis: null, datasets: null, properties: null, code: null, loaded: null, image: null });
  }

  receive(message, buffers) {
    if (message.type === "panel") this.clear(message);
    else if (["link", "records", "column"].includes(message.type)) return this.takeAnswer(message);
    else if (message.serial !== this.head.serial) return;
    else if (message.type === "image") this.takeImage(message, buffers[0]);
    else this[message.type] = message;
    this.store.dispatchEvent(new CustomEvent("panel", { detail: message.type }));
  }

  takeImage({ at, total, mime }, buffer) {
    if (at === 0) this.image = { parts: [], size: 0 };
    if (this.image?.size !== at) return; // a piece was lost, or was meant for another page
    this.image.parts.push(buffer);
    this.image.size += buffer.byteLength;
    if (this.image.size === total) this.image = { url: URL.createObjectURL(new Blob(this.image.parts, { type: mime })) };
  }

  /**
   * Send a request about the subject; the kernel ignores it if something else is shown by then.
   * @template {keyof import("./protocol.js").Requests} K
   * @param {K} type
   * @param {Omit<import("./protocol.js").Requests[K], "serial">} what
   */
  send(type, what) {
    this.store.send(type, /** @type {any} */ ({ serial: this.head.serial, ...what }));
  }

  /**
   * Send a request about the subject, and wait for the answer.
   * @template {"link" | "records" | "column"} K
   * @param {K} type
   * @param {Omit<import("./protocol.js").Requests[K], "serial" | "id">} what
   * @returns {Promise<import("./protocol.js").AnswerOf<K>>}
   */
  ask(type, what) {
    const id = freshId();
    this.send(type, /** @type {any} */ ({ id, ...what }));
    return new Promise((resolve) => this.asked.set(id, resolve));
  }

  takeAnswer(message) {
    this.asked.get(message.id)?.(message);
    this.asked.delete(message.id);
  }
}
