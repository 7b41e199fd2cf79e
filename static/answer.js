/** How an answer is shown: its label, its probability, a bar of all labels. Colour never stands alone: the words do. */

import { h, percent } from "./dom.js";
import { confidence } from "./result.js";

const TONES = { positive: "yes", entailment: "yes", negative: "no", contradiction: "no", neutral: "between" };

/** The class of a label's colour; labels of unknown tasks take turns. */
export const toneOf = (label, index) => `tone-${TONES[label] ?? ["yes", "no", "between", "other"][index % 4]}`;

/** The bar: a segment per label, as wide as its probability. */
export function bar(scores) {
  return h("span", { class: "bar", "aria-hidden": "true" },
    scores.map(({ label, score }, index) =>
      h("span", { class: toneOf(label, index), style: { width: `${score * 100}%` }, title: `${label} ${percent(score)}` })));
}

/** "positive 94 %" in the label's colour. */
export function verdict(outcome) {
  const index = outcome.scores.findIndex(({ label }) => label === outcome.label);
  return h("span", { class: `verdict ${toneOf(outcome.label, index)}` },
    h("span", { class: "verdict-label" }, outcome.label), " ",
    h("span", { class: "verdict-score" }, percent(confidence(outcome))));
}

/** How far the probability of the new label moved: "▲ 12" points; nothing where it stayed. */
export function movement(outcome, before) {
  if (!before) return null;
  const earlier = before.scores.find(({ label }) => label === outcome.label)?.score ?? 0;
  const points = Math.round((confidence(outcome) - earlier) * 100);
  const flipped = before.label !== outcome.label;
  const text = flipped ? `was ${before.label} ${percent(confidence(before))}`
    : points === 0 ? "unmoved" : `${points > 0 ? "▲" : "▼"} ${Math.abs(points)} points`;
  return h("span", { class: flipped ? "movement flipped" : "movement" }, text);
}

/** Bar and verdict in one line. */
export const answerLine = (outcome, before = null) =>
  h("span", { class: "answer" }, bar(outcome.scores), verdict(outcome), movement(outcome, before));
