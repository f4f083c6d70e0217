import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { TYPES, declarations } from "../protocol.js";
import { END, ROW, mapped } from "../../s3conn_magic/explorer/front/mapping.js";
import { sizeText } from "../../s3conn_magic/explorer/front/texts.js";
import { neighbour, squarified } from "../../s3conn_magic/explorer/front/treemap.js";

test("the page's types are those of the table of messages", () => {
  assert.equal(readFileSync(TYPES, "utf8"), declarations());
});

test("a mapped list keeps both ends pixel for pixel, its order, and comes back to where it was", () => {
  const long = 3_000_000 * ROW, short = 500_000 * ROW;
  let before = -1;
  for (let y = 0; y <= long; y += 4_321_987) {
    const there = mapped(y, long, short);
    assert.ok(there > before && there <= short);
    assert.ok(Math.abs(mapped(there, short, long) - y) < 1e-3);
    before = there;
  }
  assert.equal(mapped(END - 1, long, short), END - 1);
  assert.equal(mapped(long - 7, long, short), short - 7);
  assert.equal(mapped(12, 100, 100), 12);
});

test("rectangles have the areas of their values, lie inside and do not overlap", () => {
  for (const values of [[1], [5, 3, 2, 1, 1], Array.from({ length: 60 }, (_, at) => 60 - at), [1e12, 1, 1], [2, 0]]) {
    const boxes = squarified(values, 600, 300);
    const sum = values.reduce((all, each) => all + each, 0);
    boxes.forEach(([x, y, width, height], at) => {
      assert.ok(Math.abs(width * height - (values[at] / sum) * 180_000) < 1);
      assert.ok(x > -0.1 && y > -0.1 && x + width < 600.1 && y + height < 300.1);
      for (const [left, top, wide, high] of boxes.slice(at + 1)) {
        const across = Math.min(x + width, left + wide) - Math.max(x, left), along = Math.min(y + height, top + high) - Math.max(y, top);
        assert.ok(across < 0.1 || along < 0.1);
      }
    });
  }
  assert.deepEqual(squarified([], 600, 300), []);
});

test("an arrow leads to the rectangle that lies there, and stays where there is none", () => {
  const boxes = [[0, 0, 10, 10], [10, 0, 10, 5], [10, 5, 10, 5]];
  assert.equal(neighbour(boxes, 0, [1, 0]), 1);
  assert.equal(neighbour(boxes, 2, [-1, 0]), 0);
  assert.equal(neighbour(boxes, 1, [0, 1]), 2);
  assert.equal(neighbour(boxes, 0, [-1, 0]), 0);
});

test("a size has three digits and a decimal unit", () => {
  assert.deepEqual([0, 999, 999_500, 1_234_567].map(sizeText), ["0 B", "999 B", "1 MB", "1.23 MB"]);
});
