import assert from "node:assert/strict";
import test from "node:test";
import { fromFragment, START, toFragment } from "../../static/state.js";
import { withConstraint } from "../../static/what-if.js";

test("the state survives the way through a link", () => {
  const state = {
    ...START, page: "model", id: "sst-spigot", task: "snli", text: "50 % & #more=1 \u05e9\u05dc\u05d5\u05dd \ud83c\udf3f", premise: "a+b", hypothesis: "c\nd",
    models: ["a", "b"], show: ["marginals"], view: "matrix", threshold: 0.25, sort: "label", reference: "a", a: "a/map", b: "b/map", fit: "fit",
    constraints: [{ op: "forbid", head: 0, modifier: 3, side: "hypothesis" }, { op: "force", head: 2, modifier: 12 }],
  };
  assert.deepEqual(fromFragment(toFragment(state)), state);
});

test("nothing but what differs is written", () => assert.equal(toFragment(START), "#"));

test("showing no structure is a state too", () => {
  assert.deepEqual(fromFragment(toFragment({ ...START, show: [] })).show, []);
});

test("bad values fall back to the start", () => {
  const state = fromFragment("#threshold=9&constraints=x,-1,+0.0,-2.1&show=tree&nonsense=1");
  assert.equal(state.threshold, START.threshold);
  assert.deepEqual(state.constraints, [{ op: "forbid", head: 2, modifier: 1 }]);
  assert.deepEqual(state.show, []);
  assert.ok(!("nonsense" in state));
});

test("a constraint replaces what it contradicts", () => {
  const force = (head, modifier) => ({ op: "force", head, modifier });
  const forbid = (head, modifier) => ({ op: "forbid", head, modifier });
  assert.deepEqual(withConstraint([force(1, 2)], force(3, 2)), [force(3, 2)]);
  assert.deepEqual(withConstraint([forbid(1, 2)], force(1, 2)), [force(1, 2)]);
  assert.deepEqual(withConstraint([forbid(1, 2)], forbid(3, 2)), [forbid(1, 2), forbid(3, 2)]);
  assert.deepEqual(withConstraint([{ ...force(1, 2), side: "premise" }], { ...force(3, 2), side: "hypothesis" }).length, 2);
});
