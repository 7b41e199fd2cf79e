import assert from "node:assert/strict";
import test from "node:test";
import { place, problemToError, requestFor } from "../../static/api.js";
import { START } from "../../static/state.js";

test("errors say what to do and whether trying again can help", () => {
  const busy = problemToError(429, { code: "busy", detail: "queue full" }, "7");
  assert.match(busy.message, /busy.*kept.*in 7 s/);
  assert.equal(busy.retry, true);
  const long = problemToError(422, { errors: [{ pointer: "/inputs/0/premise", detail: "300 words; at most 256" }] }, null);
  assert.equal(long.message, "Premise: 300 words; at most 256");
  assert.equal(long.retry, false);
  const none = problemToError(503, { code: "no_models", detail: "no model can be served: sst-x: truncated" }, "10");
  assert.equal(none.message, "no model can be served: sst-x: truncated");
  assert.match(problemToError(500, {}, null).message, /500/);
  assert.equal(place("/parameters/trees/constraints/2"), "Constraint: ");
});

const model = (takes, most) => ({ takes, limits: { max_trees: most } });

test("a request holds what the state says, within what the models allow", () => {
  const state = { ...START, task: "sst", text: "A film." };
  const plain = requestFor(state, [model("sentence", 64), model("sentence", 16)]);
  assert.deepEqual([plain.task, plain.models, plain.inputs], ["sst", undefined, ["A film."]]);
  assert.equal(plain.parameters.trees.max_trees, 16);
  assert.ok(!("constraints" in plain.parameters.trees));
  const chosen = requestFor({ ...state, models: ["a"], premise: "p", hypothesis: "h" }, [model("pair", 100)]);
  assert.deepEqual([chosen.task, chosen.models, chosen.inputs], [undefined, ["a"], [{ premise: "p", hypothesis: "h" }]]);
  assert.equal(chosen.parameters.trees.max_trees, 64);
});
