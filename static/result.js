/** What a view gets: the answer of the service, joined with the models that gave it and the options of the page. */

/** By code units: names are ASCII, and the first use of a collator takes as long as drawing a model. */
const byName = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** The order of a sort, by name; each compares two models of a result. */
export const SORTS = {
  estimator: { title: "Estimator", compare: (a, b) => byName(a.estimator, b.estimator) || byName(a.id, b.id) },
  confidence: { title: "Confidence", compare: (a, b) => top(b) - top(a) },
  label: { title: "Label", compare: (a, b) => byName(a.label, b.label) || top(b) - top(a) },
  accuracy: { title: "Test accuracy", compare: (a, b) => accuracyOf(b) - accuracyOf(a) },
};

const top = (outcome) => Math.max(...outcome.scores.map(({ score }) => score));

/** The probability of an outcome's own label. */
export const confidence = (outcome) => outcome.scores.find(({ label }) => label === outcome.label)?.score ?? top(outcome);

/** A model's accuracy on the test set under its own structure; NaN-free, −1 where it is not known. */
export function accuracyOf(model) {
  const value = model.metrics?.test_accuracy ?? model.metrics?.test?.accuracy;
  return typeof value === "number" ? value : -1;
}

/** Joins predictions and model entries; models without trees come last, the reference first. */
export function makeResult(answer, state, before = null) {
  const entries = new Map(answer.models.map((entry) => [entry.id, entry]));
  const earlier = new Map((before?.data[0].models ?? []).map((prediction) => [prediction.model, prediction]));
  const [comparison] = answer.data;
  const models = comparison.models.map((prediction) => ({
    ...entries.get(prediction.model), ...prediction, before: earlier.get(prediction.model) ?? null,
  }));
  return {
    takes: models[0]?.takes ?? "sentence",
    models,
    agreement: comparison.agreement,
    options: optionsOf(state),
    answer,
  };
}

const optionsOf = ({ show, threshold, sort, reference, a, b, fit, constraints }) =>
  ({ show, threshold, sort, reference, a, b, fit, constraints });

/** The same result under other options, with its models in their order: no new request. */
export function withOptions(result, state) {
  const { compare } = SORTS[state.sort] ?? SORTS.estimator;
  const last = (model) => (model.sentences.some(({ trees }) => trees) ? 0 : 1);
  const first = (model) => (model.id === state.reference ? 0 : 1);
  const models = [...result.models].sort((a, b) => first(a) - first(b) || last(a) - last(b) || compare(a, b));
  return { ...result, models, options: optionsOf(state) };
}

/** "Premise" and "Hypothesis" for the sentences of a pair, "" for a single one. */
export const sideOf = (result, index) => (result.takes === "pair" ? ["premise", "hypothesis"][index] : undefined);
