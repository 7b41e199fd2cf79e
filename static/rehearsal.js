/**
 * The first drawing is the slowest: its code is compiled while it runs. So a made-up answer is drawn beforehand, in idle
 * moments and into no page, while the reader types or the service thinks; when the answer comes, the code is warm.
 */

import { makeResult } from "./result.js";
import { START } from "./state.js";
import { arcsOf, leftBranching, rightBranching } from "./trees.js";
import * as trees from "./views/trees.js";

const WORDS = 24;
const TIMES = 5;
const LATEST = 300; // ms that one drawing waits for an idle moment

const LABELS = [{ label: "yes", score: 0.7 }, { label: "no", score: 0.3 }];

function madeUpAnswer() {
  const tokens = Array.from({ length: WORDS }, (_, index) => "understory".slice(index % 7));
  const chains = [leftBranching(WORDS), rightBranching(WORDS)];
  const outcome = { label: "yes", scores: LABELS };
  const marginals = chains.flatMap((heads) => arcsOf(heads, 0.5)).map(({ weight, ...arc }) => ({ ...arc, probability: weight }));
  const sentence = { tokens, trees: { map: { heads: chains[0] }, marginals, sparsemap: chains.map((heads) => ({ heads, weight: 0.5 })) } };
  const prediction = { ...outcome, model: "rehearsal", sentences: [sentence], by_structure: { map: outcome, marginals: outcome, sparsemap: outcome } };
  const entry = { id: "rehearsal", takes: "sentence", estimator: "rehearsal", forward_structure: "map" };
  return { models: [entry], data: [{ models: [prediction], agreement: [] }] };
}

const idle = () => new Promise((done) => {
  if (globalThis.requestIdleCallback) requestIdleCallback(done, { timeout: LATEST });
  else setTimeout(done, LATEST);
});

/** Draws the made-up answer a few times, one in each idle moment; `over()` says that it is no longer of use. */
export async function rehearse(over) {
  const result = makeResult(madeUpAnswer(), START);
  for (let time = 0; time < TIMES; time += 1) {
    await idle();
    if (over()) return;
    trees.render(document.createElement("div"), result);
  }
}
