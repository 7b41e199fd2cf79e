import assert from "node:assert/strict";
import { test } from "node:test";

import { HEIGHT, ribbons, ROOM } from "../../static/ribbons.js";

/** A small generator, so that a failure comes back. */
function drawing(seed) {
  let state = seed;
  return () => ((state = (state * 1103515245 + 12345) % 2147483648) / 2147483648);
}

function row(count, draw) {
  const raw = Array.from({ length: count }, () => draw() ** 4 + 1e-4);
  const total = raw.reduce((sum, value) => sum + value, 0);
  return raw.map((value) => value / total);
}

function pair(draw) {
  const counts = [1 + Math.floor(draw() * 12), 1 + Math.floor(draw() * 12)];
  const lines = counts.map((count) => Array.from({ length: count }, (_, k) => 20 + k * 40 + draw() * 15));
  if (draw() < 0.3) for (const line of lines) line.reverse(); // as right-to-left text stands
  const rows = { down: lines[0].map(() => row(counts[1], draw)), up: lines[1].map(() => row(counts[0], draw)) };
  return { lines, rows };
}

/** The two ends of a ribbon, from its path: [left, right] at the top and at the foot. */
function ends({ path }) {
  const [a, , , , , , c, bottom, d, , , , , b] = path.match(/-?\d+(?:\.\d+)?/g).map(Number);
  assert.equal(bottom, HEIGHT);
  return { top: [a, b], foot: [c, d] };
}

test("a word's ribbons divide its room by its row, in the order of the words that they go to", () => {
  const draw = drawing(7);
  for (let round = 0; round < 60; round += 1) {
    const { lines, rows } = pair(draw);
    const all = ribbons(...lines, rows, 0);
    assert.equal(all.length, lines[0].length * lines[1].length);
    for (const [end, own, other, shares, me, it] of [["top", ...lines, rows.down, "from", "to"], ["foot", lines[1], lines[0], rows.up, "to", "from"]]) {
      own.forEach((x, index) => {
        const mine = all.filter((ribbon) => ribbon[me] === index).sort((p, q) => other[p[it]] - other[q[it]]);
        let at = x - ROOM / 2;
        for (const ribbon of mine) {
          const [left, right] = ends(ribbon)[end];
          assert.ok(Math.abs(left - at) < 0.02, "parts lie side by side");
          assert.ok(Math.abs(right - left - ROOM * shares[index][ribbon[it]]) < 0.02, "as wide as the share");
          at += ROOM * shares[index][ribbon[it]];
        }
        assert.ok(Math.abs(at - x - ROOM / 2) < 1e-6, "and fill the room");
      });
    }
  }
});

test("a ribbon is kept for its heavier direction, and heavy ones come last", () => {
  const rows = { down: [[0.9, 0.1], [0.02, 0.98]], up: [[0.97, 0.03], [0.5, 0.5]] };
  const kept = ribbons([10, 60], [10, 60], rows, 0.4);
  assert.deepEqual(kept.map(({ from, to }) => [from, to]), [[0, 1], [0, 0], [1, 1]]);
  assert.deepEqual(kept.map(({ weight }) => weight), [0.5, 0.97, 0.98]);
});
