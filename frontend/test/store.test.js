import assert from "node:assert/strict";
import { test } from "node:test";

import { Keys } from "../../s3conn_magic/explorer/front/keys.js";
import { Store } from "../../s3conn_magic/explorer/front/store.js";

/** A store whose kernel is this test: `sent` is what it was told, `say` is what it says. */
function connected() {
  const sent = [];
  let hear;
  const model = { send: (message) => sent.push(message), on: (_, listener) => (hear = listener) };
  const store = new Store(model);
  const say = (message) => hear({ json: JSON.stringify({ page: store.page, ...message }) }, []);
  return { store, sent, say };
}

const state = (more) => ({ type: "state", version: 1, seq: 0, total: 3, focus: [7, 0, 0], selected: [], said: [0, ""], follow: true, ...more });
const rows = (version, ...names) => ({
  type: "rows", version, from: 0, done: true, folders: { 7: ["s3://lake/", 1, names.length, true] },
  rows: names.map((name, at) => [7, at, "row", 0, at, name, 1, null, null, 0]),
});

test("rows and state become visible together, when the last row of a version has come", () => {
  const { store, say } = connected();
  say(state({}));
  assert.equal(store.state, null);
  say({ ...rows(1, "a"), done: false });
  assert.equal(store.state, null);
  say({ ...rows(1, "a", "b", "c") });
  assert.equal(store.state.version, 1);
  assert.equal(store.rows.size, 3);
  assert.equal(store.uri(store.rows.get(1)), "s3://lake/b");
});

test("rows of another version, and what is said to another page, are not taken", () => {
  const { store, say } = connected();
  say(state({}));
  say(rows(1, "a"));
  say(rows(2, "x", "y"));
  say(state({ page: "another", total: 99 }));
  assert.equal(store.rows.get(0).name, "a");
  assert.equal(store.state.total, 3);
});

test("an answer from before what the user did last takes neither focus nor choice back", () => {
  const { store, say } = connected();
  say(state({}));
  say(rows(1, "a", "b", "c"));
  store.moveTo(2, "one");
  say(state({ seq: 0, focus: [7, 0, 0], selected: ["7:0"] }));
  assert.equal(store.focus.at, 2);
  assert.deepEqual([...store.selected], ["7:2"]);
  say(state({ seq: store.seq, focus: [7, 1, 1], selected: ["7:1"] }));
  assert.equal(store.focus.at, 1);
  assert.deepEqual([...store.selected], ["7:1"]);
});

test("rows that are here or on their way are not asked for again", () => {
  const { store, sent, say } = connected();
  say(state({ total: 500 }));
  say(rows(1, "a", "b", "c"));
  sent.length = 0;
  store.need(0, 3);
  assert.equal(sent.length, 0);
  store.need(10, 20);
  store.need(11, 21);
  assert.deepEqual(sent.map(({ type, from, to }) => [type, from, to]), [["rows", 0, 120]]);
});

test("a kernel that is gone is said, and nothing is thrown", () => {
  const { store } = connected();
  const said = [];
  store.model.send = () => { throw new Error("closed"); };
  store.addEventListener("said", (event) => said.push(event.detail));
  store.act("refresh", {});
  assert.match(said[0], /run its cell again/);
});

test("a key that comes before the answer to the last one waits for it, and all come in their order", () => {
  const { store, sent, say } = connected();
  const body = { addEventListener() {}, };
  const list = { body, follow: false, total: 3, height: () => 100, reveal() { this.follow = false; } };
  const keys = new Keys({ store, rows: list, panel: {}, copy() {} });
  const press = (key) => keys.onKey({ key, target: body, timeStamp: 0, preventDefault() {}, stopPropagation() {} });
  say(state({}));
  say(rows(1, "a", "b", "c"));
  press("c"); // goes to the kernel
  press("ArrowUp");
  press("ArrowUp");
  assert.deepEqual(sent.filter(({ type }) => type !== "rows").map(({ type }) => type), ["typed"]);
  say(state({ seq: store.seq, focus: [7, 2, 2], selected: ["7:2"] }));
  list.reveal();
  keys.update();
  assert.equal(store.focus.at, 0);
  assert.deepEqual(sent.filter(({ type }) => type === "at").map(({ place }) => place), [[7, 1], [7, 0]]);
});

test("a key for a row that is on its way waits for it", () => {
  const { store, say } = connected();
  const body = { addEventListener() {}, };
  const list = { body, follow: false, total: 500, height: () => 100, reveal() { this.follow = false; } };
  const shown = [];
  const panel = { show: (row) => shown.push(row.text) };
  const keys = new Keys({ store, rows: list, panel, copy() {} });
  const press = (key) => keys.onKey({ key, target: body, timeStamp: 0, preventDefault() {}, stopPropagation() {} });
  say(state({ total: 500, acts: true }));
  say(rows(1, "a", "b", "c"));
  press("ArrowDown");
  store.focus = { ...store.focus, at: 300 };
  press("Enter");
  keys.update();
  assert.deepEqual(shown, []);
  store.rows.set(300, { kind: "row", folder: 7, row: 300, flags: 0, text: "d" });
  keys.update();
  assert.deepEqual(shown, ["d"]);
});
