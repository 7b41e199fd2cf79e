import assert from "node:assert/strict";
import test from "node:test";
import { arcAt, DEFAULTS, heightAt, layout, levels } from "../../static/layout.js";
import { arcsOf } from "../../static/trees.js";
import { generator, isProjectiveTree, projectiveTree } from "./trees.mjs";

const widthsFor = (count, random) => Array.from({ length: count }, () => 6 + random() * 80);

/** Points along the drawn path: the SVG path data is read back and sampled, so the test trusts no field of the layout. */
function pointsOf(path) {
  const numbers = (text) => text.trim().split(/[\s,]+/).map(Number);
  const points = [];
  let [x, y] = [0, 0];
  for (const [, command, rest] of path.matchAll(/([MVHA])([^MVHA]*)/g)) {
    const n = numbers(rest);
    if (command === "M") [x, y] = n;
    if (command === "V") { for (let k = 1; k <= 40; k += 1) points.push([x, y + ((n[0] - y) * k) / 40]); y = n[0]; }
    if (command === "H") { for (let k = 1; k <= 40; k += 1) points.push([x + ((n[0] - x) * k) / 40, y]); x = n[0]; }
    if (command === "A") {
      const [rx, ry, , , , endX, endY] = n;
      const rising = points.length === 0; // the first corner starts steep, the second ends steep
      for (let k = 0; k <= 40; k += 1) {
        const angle = (k / 40) * (Math.PI / 2);
        points.push(rising
          ? [endX - Math.sign(endX - x) * rx * Math.cos(angle), y + Math.sign(endY - y) * ry * Math.sin(angle)]
          : [x + Math.sign(endX - x) * rx * Math.sin(angle), endY - Math.sign(endY - y) * ry * Math.cos(angle)]);
      }
      [x, y] = [endX, endY];
    }
  }
  return points;
}

/** The curve's height over x by linear interpolation, for a curve sampled from left to right. */
function heightOver(points, x) {
  const sorted = points[0][0] <= points[points.length - 1][0] ? points : [...points].reverse();
  for (let k = 1; k < sorted.length; k += 1) {
    const [[x0, y0], [x1, y1]] = [sorted[k - 1], sorted[k]];
    if (x >= x0 && x <= x1) return x1 === x0 ? Math.max(Math.abs(y0), Math.abs(y1)) : y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
  }
  return null;
}

/** Two arcs of one side are apart if they share no x, or one is above the other everywhere that they do. */
function assertApart(a, b, context) {
  const [left, right] = [Math.max(a.from, b.from), Math.min(a.to, b.to)];
  if (left > right) return;
  const [outer, inner] = a.to - a.from >= b.to - b.from ? [a, b] : [b, a];
  if (outer.stem || inner.stem) {
    const [stem, curve] = a.stem ? [a, b] : [b, a];
    assert.ok(stem.from < curve.from || stem.from > curve.to, `${context}: the root stem meets an arc`);
    return;
  }
  assert.ok(outer.from < inner.from && inner.to < outer.to, `${context}: intervals cross`);
  for (const [x, y] of inner.points) {
    const over = heightOver(outer.points, x);
    assert.ok(over !== null && -over > -y, `${context}: an arc touches one inside it at x=${x}: ${-over} ≤ ${-y}`);
  }
}

function curvesOf(drawn) {
  return drawn.arcs.map((arc) => {
    const points = pointsOf(arc.path);
    const xs = points.map(([x]) => x);
    return { points, from: Math.min(...xs), to: Math.max(...xs), stem: arc.head === 0 };
  });
}

test("the generator makes projective trees", () => {
  const random = generator(5);
  for (let k = 0; k < 200; k += 1) assert.ok(isProjectiveTree(projectiveTree(1 + Math.floor(random() * 60), random)));
  assert.ok(!isProjectiveTree([3, 4, 0, 3]));
});

test("no two arcs of a random projective tree cross or touch", () => {
  const random = generator(11);
  for (let round = 0; round < 150; round += 1) {
    const count = 1 + Math.floor(random() * 60);
    const heads = projectiveTree(count, random);
    const curves = curvesOf(layout(widthsFor(count, random), arcsOf(heads), { rtl: round % 2 === 1 }));
    for (let i = 0; i < curves.length; i += 1)
      for (let j = 0; j < i; j += 1) assertApart(curves[i], curves[j], `round ${round}, heads ${heads}`);
  }
});

test("narrow words set tight stay apart too", () => {
  const random = generator(29);
  for (let round = 0; round < 60; round += 1) {
    const heads = projectiveTree(2 + Math.floor(random() * 20), random);
    const drawn = layout(heads.map(() => 3 + random() * 3), arcsOf(heads), { gap: 2, endGap: 1, endRoom: 0.5 });
    const curves = curvesOf(drawn);
    for (let i = 0; i < curves.length; i += 1)
      for (let j = 0; j < i; j += 1) assertApart(curves[i], curves[j], `round ${round}, heads ${heads}`);
  }
});

test("a flat tree of 60 words stays apart and within the height", () => {
  const heads = Array.from({ length: 60 }, (_, index) => (index === 29 ? 0 : 30));
  const drawn = layout(new Array(60).fill(20), arcsOf(heads));
  const curves = curvesOf(drawn);
  for (let i = 0; i < curves.length; i += 1) for (let j = 0; j < i; j += 1) assertApart(curves[i], curves[j], "flat");
  assert.ok(drawn.above <= DEFAULTS.maxHeight + DEFAULTS.rootRise);
});

test("words never overlap and keep their order", () => {
  const random = generator(3);
  for (const rtl of [false, true]) {
    const widths = widthsFor(40, random);
    const { words, width } = layout(widths, arcsOf(projectiveTree(40, random)), { rtl });
    const boxes = (rtl ? [...words].reverse() : words).map(({ x, width: w }) => [x - w / 2, x + w / 2]);
    boxes.slice(1).forEach(([left], k) => assert.ok(left - boxes[k][1] >= DEFAULTS.gap - 1e-9));
    assert.ok(boxes[0][0] >= 0 && boxes[39][1] <= width);
  }
});

test("right to left is the mirror image", () => {
  const random = generator(8);
  const [widths, arcs] = [widthsFor(12, random), arcsOf(projectiveTree(12, random))];
  const [plain, mirrored] = [layout(widths, arcs), layout(widths, arcs, { rtl: true })];
  plain.words.forEach((word, k) => assert.ok(Math.abs(word.x + mirrored.words[k].x - plain.width) < 1e-9));
  plain.arcs.forEach((arc, k) => {
    assert.equal(arc.height, mirrored.arcs[k].height);
    assert.ok(Math.abs(arc.xModifier + mirrored.arcs[k].xModifier - plain.width) < 1e-9);
  });
});

test("one word: a stem and nothing else", () => {
  const drawn = layout([30], arcsOf([0]));
  assert.equal(drawn.arcs.length, 1);
  assert.match(drawn.arcs[0].path, /^M[\d.]+ -\d+V0$/);
  assert.equal(drawn.words[0].x, drawn.arcs[0].xModifier);
});

test("no arcs at all still spaces the words", () => {
  const drawn = layout([30, 40], []);
  assert.deepEqual([drawn.above, drawn.below, drawn.words.length], [0, 0, 2]);
});

test("both directions between two words nest in each other", () => {
  const curves = curvesOf(layout([30, 30], [{ head: 1, modifier: 2 }, { head: 2, modifier: 1 }]));
  assertApart(curves[0], curves[1], "two ways");
});

test("sides do not share room: below mirrors above", () => {
  const arcs = arcsOf([2, 0, 2]);
  const drawn = layout([30, 30, 30], [...arcs, ...arcs.map((arc) => ({ ...arc, side: "below" }))]);
  assert.equal(drawn.above, drawn.below);
  drawn.arcs.slice(0, 3).forEach((arc, k) => assert.equal(arc.xModifier, drawn.arcs[k + 3].xModifier));
});

test("levels: crossing arcs do not share one", () => {
  assert.deepEqual(levels([[0, 10], [5, 15], [20, 30], [-1, 31]]).level, [1, 2, 1, 3]);
});

test("arcAt finds each arc at its top and nothing far away", () => {
  const random = generator(21);
  const heads = projectiveTree(20, random);
  const drawn = layout(widthsFor(20, random), arcsOf(heads));
  for (const arc of drawn.arcs) {
    const [x, y] = arc.head === 0 ? [arc.xModifier, -arc.height + 2] : [(arc.xHead + arc.xModifier) / 2, -arc.height];
    const found = arcAt(drawn, x, y);
    assert.deepEqual([found.head, found.modifier], [arc.head, arc.modifier]);
  }
  assert.equal(arcAt(drawn, drawn.width / 2, 200), null);
  assert.ok(Number.isNaN(heightAt(drawn.arcs[0], -50)));
});
