import assert from "node:assert/strict";
import test from "node:test";
import { arcsOf, attachment, depthOf, difference, expectedAgreement, leftBranching, rightBranching, unionOf } from "../../static/trees.js";

test("branching trees", () => {
  assert.deepEqual(rightBranching(4), [0, 1, 2, 3]);
  assert.deepEqual(leftBranching(4), [2, 3, 4, 0]);
  assert.deepEqual([rightBranching(1), leftBranching(1)], [[0], [0]]);
  assert.equal(attachment(rightBranching(4), leftBranching(4)), 0);
  assert.deepEqual([depthOf(rightBranching(5)), depthOf([0, 1, 1, 1]), depthOf([0])], [5, 2, 1]);
});

test("the union holds each arc once, with the weight of its trees", () => {
  const union = unionOf([{ weight: 0.6, heads: [2, 0] }, { weight: 0.3, heads: [0, 1] }, { weight: 0.1, heads: [2, 0] }]);
  const weights = Object.fromEntries(union.map(({ head, modifier, weight }) => [`${head}>${modifier}`, weight.toFixed(6)]));
  assert.deepEqual(weights, { "2>1": "0.700000", "0>2": "0.700000", "0>1": "0.300000", "1>2": "0.300000" });
});

test("the difference splits the arcs of both", () => {
  const { shared, onlyA, onlyB } = difference(arcsOf([2, 0, 2]), arcsOf([3, 0, 2]));
  assert.deepEqual([shared.length, onlyA.length, onlyB.length], [2, 1, 1]);
});

test("the expected agreement of two trees is their attachment", () => {
  const [a, b] = [[2, 0, 2, 3], [2, 0, 4, 2]];
  assert.equal(expectedAgreement(arcsOf(a), arcsOf(b), 4), attachment(a, b));
  const coin = [{ head: 0, modifier: 1, weight: 0.5 }, { head: 2, modifier: 1, weight: 0.5 }];
  assert.equal(expectedAgreement(coin, coin, 1), 0.5);
});
