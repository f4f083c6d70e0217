// The explorer's state as received from the kernel: lines, focus and selection.

import { Subject } from "./subject.js";
import { Transfers, freshId } from "./transfers.js";

const MARGIN = 100; // rows requested beyond those in view
const KEPT = 20000; // rows kept before the far ones are dropped
export const PREFIX = 1;
export const OPEN = 2;
export const BUSY = 4;
export const CONNECTION = 8;
export const DELETED = 16;

export const idOf = (row) => `${row.folder}:${row.row}`;

/**
 * A line. At a folder's end `row` is -1 and `name` is the text.
 * @typedef {{folder: number, row: number, kind: string, depth: number, rank: number, name: string, hint?: string,
 *   size?: number | null, time?: number | null, storage?: string, flags?: number, exact?: string}} Row
 */

/**
 * The state as received from the kernel; one per model and page, shared by its views. Other pages may show the same
 * explorer: focus, selection and questions belong to a page, so every message names it.
 */
export class Store extends EventTarget {
  constructor(model) {
    super();
    this.model = model;
    this.page = freshId();
    this.window = [0, MARGIN];
    /** @type {import("./protocol.js").AnswerOf<"state">} */
    this.state = null;
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    /** @type {Record<number, [string, number, number, boolean]>} */
    this.folders = {};
    this.focus = { id: "", at: 0 };
    this.selected = new Set();
    this.seq = 0;
    this.coming = null;
    this.asked = null;
    this.mode = "";
    this.views = 0;
    this.shift = 0;
    /** @type {Map<string, {lines: string[], done: (lines: string[]) => void}>} */
    this.texts = new Map();
    this.subject = new Subject(this);
    this.transfers = new Transfers(this);
    model.on("msg:custom", (content, buffers) => this.receive(JSON.parse(content.json), buffers));
  }

  /**
   * Send a request, which changes no line, focus or selection.
   * @template {keyof import("./protocol.js").Requests} K
   * @param {K} type
   * @param {import("./protocol.js").Requests[K]} what
   * @param {ArrayBuffer[]} [buffers]
   */
  send(type, what, buffers) {
    this.post(type, what, buffers);
  }

  post(type, what, buffers = undefined) {
    try {
      this.model.send({ type, page: this.page, ...what }, undefined, buffers);
    } catch {
      // The comm is closed: the kernel was restarted, or the explorer was closed from Python.
      this.dispatchEvent(new CustomEvent("said", { detail: "The kernel no longer knows this explorer: run its cell again" }));
    }
  }

  /**
   * Send an action, which changes the tree, the focus or the selection.
   * @template {keyof import("./protocol.js").Actions} K
   * @param {K} type
   * @param {import("./protocol.js").Actions[K]} what
   */
  act(type, what) {
    this.seq += 1;
    this.post(type, { seq: this.seq, ...what });
  }

  /** @param {import("./protocol.js").Answer} message @param {DataView[]} buffers */
  receive(message, buffers) {
    if ("page" in message && message.page !== this.page) return;
    if (message.type === "rows") this.receiveRows(message);
    else if (message.type === "state") this.receiveState(message);
    else if (message.type === "text") this.receiveText(message);
    else if (["tasks", "asked", "piece"].includes(message.type)) this.transfers.receive(message, buffers);
    else this.subject.receive(message, buffers);
  }

  /**
   * The lines of a text to copy, for the row at a place or all selected rows.
   * @param {"uris" | "arns" | "query" | "analyze" | "discover"} what
   * @param {import("./protocol.js").Place} [place]
   * @returns {Promise<string[]>}
   */
  text(what, place) {
    const id = freshId();
    this.send("text", place ? { id, what, place } : { id, what });
    return new Promise((done) => this.texts.set(id, { lines: [], done }));
  }

  /** @param {import("./protocol.js").AnswerOf<"text">} message */
  receiveText({ id, lines, done }) {
    const asked = this.texts.get(id);
    if (!asked) return;
    asked.lines.push(...lines);
    if (!done) return;
    this.texts.delete(id);
    asked.done(asked.lines);
  }

  receiveState(state) {
    if (!this.state || state.version !== this.state.version) {
      this.coming = { state, rows: new Map(), folders: {} };
      // Only the page whose user acts gets the rows unasked.
      if (!state.follow) this.send("rows", { from: this.window[0], to: this.window[1] });
      return;
    }
    this.adopt(state);
    this.tell();
  }

  adopt(state) {
    const before = this.focus.at;
    const [folder, row, at] = state.focus;
    if (state.seq >= this.seq && !this.mode) {
      this.focus = { id: `${folder}:${row}`, at };
      this.selected = new Set(state.selected);
    } else {
      for (const [index, each] of this.rows) if (idOf(each) === this.focus.id) this.focus.at = index;
      this.focus.at = Math.max(0, Math.min(this.focus.at, state.total - 1));
    }
    this.state = state;
    this.shift = this.focus.at - before;
  }

  receiveRows(message) {
    if (message.done) this.asked = null;
    const coming = this.coming?.state.version === message.version ? this.coming : null;
    if (!coming && this.state?.version !== message.version) return;
    const into = coming ?? this;
    Object.assign(into.folders, message.folders);
    message.rows.forEach(([folder, row, kind, depth, rank, name, ...rest], index) => {
      const line = { folder, row, kind, depth, rank, name };
      if (kind === "row") [line.size, line.time, line.storage, line.flags, line.exact] = rest;
      else line.hint = rest[0];
      into.rows.set(message.from + index, line);
    });
    if (coming && message.done) this.commit(coming);
    if (this.mode && this.rows.has(this.focus.at)) this.moveTo(this.focus.at, this.mode);
    else this.tell();
  }

  commit({ state, rows, folders }) {
    [this.rows, this.folders, this.coming] = [rows, folders, null];
    this.adopt(state);
  }

  tell() {
    this.dispatchEvent(new Event("change"));
    this.shift = 0;
  }

  /** Request the rows in view, with a margin, unless they are here or on their way. */
  need(first, last) {
    const total = this.state.total;
    let missing = false;
    for (let at = first; at < last && !missing; at++) missing = !this.rows.has(at);
    if (!missing || this.coming || (this.asked && this.asked[0] <= first && this.asked[1] >= last)) return;
    if (this.rows.size > KEPT) for (const at of this.rows.keys()) if (Math.abs(at - first) > KEPT / 4) this.rows.delete(at);
    this.asked = this.window = [Math.max(0, first - MARGIN), Math.min(total, last + MARGIN)];
    this.send("rows", { from: this.asked[0], to: this.asked[1] });
  }

  uri(row) {
    return this.folders[row.folder][0] + (row.exact ?? row.name);
  }

  /** Focus a line; if it has not arrived yet, tell the kernel when it does. */
  moveTo(at, mode) {
    const row = this.rows.get(at);
    this.mode = row ? "" : mode;
    this.focus = { id: row ? idOf(row) : "", at };
    if (mode === "one") this.selected = new Set(row && row.row >= 0 ? [idOf(row)] : []);
    if (row) this.act("at", { place: [row.folder, row.row], mode });
    this.tell();
  }
}
