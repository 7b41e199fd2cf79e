/** What a model's entry and card say, under names that do not depend on where it is written; null for what is missing. */

const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Accuracy on the test set by structure: {map, marginals, sparsemap} or {none}. */
export const accuracies = ({ card, metrics }) => card.accuracy?.test ?? metrics.test_accuracy_by_structure ?? {};

/** Accuracy on the test set under the structure of training. */
export const accuracy = (model) => number(model.metrics.test_accuracy) ?? number(accuracies(model)[model.forward_structure ?? "none"]);

/** Statistics of the MAP trees of the test set. */
export const treeFacts = ({ card }) => card.trees ?? {};

export const depth = (model) => number(treeFacts(model).mean_depth);
export const flat = (model) => number(treeFacts(model).flat_share);
export const seconds = ({ card }) => number(card.seconds_per_epoch);
export const stepTime = ({ card }) => number(card.seconds_per_step);
export const size = ({ card }) => number(card.sizes?.parameters);

/** [{epoch, …}] of the training, if the card holds it. */
export const curve = ({ card }) => (Array.isArray(card.curve) ? card.curve : []);
