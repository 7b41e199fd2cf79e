import assert from "node:assert/strict";
import test from "node:test";
import { allTrees, best, gibbs, sparsemap } from "../../static/small-trees.js";
import { unionOf } from "../../static/trees.js";
import { generator, isProjectiveTree } from "./trees.mjs";

const randomScores = (count, random, scale) =>
  Array.from({ length: count + 1 }, () => Array.from({ length: count + 1 }, () => (random() - 0.5) * scale));
const score = (heads, scores) => heads.reduce((sum, head, k) => sum + scores[head][k + 1], 0);

test("there are as many projective trees as theory says", () => {
  assert.deepEqual([1, 2, 3, 4, 5].map((count) => allTrees(count).length), [1, 2, 7, 30, 143]);
  assert.ok(allTrees(4).every(isProjectiveTree));
});

test("marginals sum to one for each word and MAP beats every tree", () => {
  const random = generator(2);
  const trees = allTrees(4);
  for (let round = 0; round < 20; round += 1) {
    const scores = randomScores(4, random, 6);
    const union = unionOf(gibbs(trees, scores));
    for (const word of [1, 2, 3, 4]) {
      const sum = union.filter(({ modifier }) => modifier === word).reduce((total, { weight }) => total + weight, 0);
      assert.ok(Math.abs(sum - 1) < 1e-12);
    }
    assert.ok(trees.every((tree) => score(tree, scores) <= score(best(trees, scores), scores)));
  }
});

/** The mean point of a mixture as a table head × modifier. */
function mean(mixture, count) {
  const table = Array.from({ length: count + 1 }, () => new Array(count + 1).fill(0));
  for (const { heads, weight } of mixture) heads.forEach((head, k) => { table[head][k + 1] += weight; });
  return table;
}

test("SparseMAP is the projection: no tree lies on the far side of its tangent plane", () => {
  const random = generator(9);
  for (let round = 0; round < 60; round += 1) {
    const count = 2 + Math.floor(random() * 3);
    const trees = allTrees(count);
    const scores = randomScores(count, random, [0.2, 1, 4, 20][round % 4]);
    const mixture = sparsemap(trees, scores);
    assert.ok(Math.abs(mixture.reduce((sum, { weight }) => sum + weight, 0) - 1) < 1e-9);
    assert.ok(mixture.every(({ weight }) => weight > 0));
    const mu = mean(mixture, count);
    // Optimality: (s − μ)·(z − μ) ≤ 0 for every tree z.
    const slope = (heads) => heads.reduce((sum, head, k) => sum + scores[head][k + 1] - mu[head][k + 1], 0);
    const here = mixture.reduce((sum, { heads, weight }) => sum + weight * slope(heads), 0);
    for (const tree of trees) assert.ok(slope(tree) <= here + 1e-7, `round ${round}`);
  }
});

test("sharp scores leave one tree, flat ones mix several", () => {
  const trees = allTrees(4);
  const scores = randomScores(4, generator(4), 2);
  const times = (factor) => scores.map((row) => row.map((value) => value * factor));
  assert.equal(sparsemap(trees, times(50)).length, 1);
  assert.ok(sparsemap(trees, times(0)).length > 2);
});
