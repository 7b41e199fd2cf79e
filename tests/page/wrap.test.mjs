import assert from "node:assert/strict";
import test from "node:test";
import { layout } from "../../static/layout.js";
import { arcsOf } from "../../static/trees.js";
import { wrap } from "../../static/wrap.js";
import { generator, projectiveTree } from "./trees.mjs";

test("rows hold every word once, in order, and every arc wherever it passes", () => {
  const random = generator(17);
  for (let round = 0; round < 60; round += 1) {
    const heads = projectiveTree(1 + Math.floor(random() * 60), random);
    const drawn = layout(heads.map(() => 5 + random() * 90), arcsOf(heads), { rtl: round % 2 === 1 });
    const width = 120 + random() * 800;
    const rows = wrap(drawn, width);
    assert.deepEqual(rows.flatMap(({ words }) => words.map(({ position }) => position)), heads.map((_, k) => k + 1));
    for (const row of rows) {
      assert.ok(row.width <= width + 1e-9 || row.words.length === 1);
      for (const { left, box } of row.words) assert.ok(left >= row.from && left + box <= row.from + row.width);
    }
    const seen = new Set(rows.flatMap(({ arcs }) => arcs));
    assert.equal(seen.size, heads.length);
    for (const arc of drawn.arcs) {
      const modifierRow = rows.find(({ words }) => words.some(({ position }) => position === arc.modifier));
      assert.ok(modifierRow.arcs.includes(arc), "an arc is drawn where it ends");
      if (arc.head) assert.ok(rows.find(({ words }) => words.some(({ position }) => position === arc.head)).arcs.includes(arc));
    }
  }
});

test("what fits is left alone", () => {
  const drawn = layout([30, 30], arcsOf([2, 0]));
  assert.deepEqual(wrap(drawn, 1000), [drawn]);
});
