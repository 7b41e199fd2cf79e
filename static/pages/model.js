/** The page of one model: its card, read aloud. */

import { h } from "../dom.js";
import { formula } from "../math.js";
import { NAMES } from "../names.js";
import { line } from "./chart.js";
import { accuracies, curve, treeFacts } from "./facts.js";

const share = (value) => `${(value * 100).toFixed(1)} %`;

const TREE_ROWS = {
  mean_depth: ["Mean depth", "arcs from the root to the deepest word", (value) => value.toFixed(2)],
  flat_share: ["Flat trees", "every word hangs on the root or on the root's one child", share],
  mean_arc_length: ["Mean arc length", "in words, without the root's arc", (value) => value.toFixed(2)],
  adjacent_share: ["Arcs between neighbours", "arcs of length one", share],
  head_left_share: ["Heads to the left", "the rest stand to the right of their word", share],
  trees: ["Sentences", "of the test set", (value) => value.toLocaleString("en")],
};

const definition = (name, value, note = null) =>
  h("div", { class: "fact" }, h("dt", {}, name, note && h("span", { class: "quiet" }, note)), h("dd", {}, value));

function accuracyRows(model) {
  const entries = Object.entries(accuracies(model)).filter(([, value]) => typeof value === "number");
  if (entries.length === 0) return h("p", { class: "quiet" }, "This model's card holds no accuracy.");
  return h("dl", {}, entries.map(([structure, value]) => h("div", { class: `fact ${structure}` },
    h("dt", {}, NAMES[structure] ?? "No tree", structure === model.forward_structure && h("span", { class: "tag" }, "trained with")),
    h("dd", {}, h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${value * 100}%` } })), share(value)))));
}

function treeRows(model) {
  const facts = treeFacts(model);
  const rows = Object.entries(TREE_ROWS).filter(([key]) => typeof facts[key] === "number");
  if (rows.length === 0) return h("p", { class: "quiet" }, model.structure ? "This model's card holds no statistics." : "This model has no trees.");
  return h("dl", {}, rows.map(([key, [name, note, show]]) => definition(name, show(facts[key]), note)));
}

function trainingRows({ card, metrics, labels, revision }) {
  const rows = [
    ["Data", card.about], ["Training examples", (card.data?.examples?.train ?? card.data?.examples)?.toLocaleString?.("en")],
    ["Labels", labels.join(", ")], ["Seed", card.seed], ["Epochs", card.epoch], ["Accuracy on dev", typeof metrics.dev_accuracy === "number" && share(metrics.dev_accuracy)],
    ["Time per step", typeof card.seconds_per_step === "number" && `${(card.seconds_per_step * 1000).toFixed(1)} ms`, card.timing],
    ["Time per epoch", typeof card.seconds_per_epoch === "number" && `${card.seconds_per_epoch.toFixed(0)} s`],
    ["Parameters", card.sizes?.parameters?.toLocaleString("en")], ["Vocabulary", card.sizes?.vocabulary && `${card.sizes.vocabulary.toLocaleString("en")} words`],
    ["Hyperparameters", Object.entries(card.hyperparameters ?? {}).map(([key, value]) => `${key} = ${value}`).join(", ")],
    ["Command", card.command && h("code", {}, card.command)], ["Revision", h("code", {}, revision)],
  ].filter(([, value]) => value !== undefined && value !== null && value !== false && value !== "" && typeof value !== "object" || value instanceof Node);
  return h("dl", {}, rows.map(([name, value, note]) => definition(name, value instanceof Node ? value : String(value), note)));
}

/** What a curve's points may hold, the first that they do: how it is called, and how a value is shown. */
const MEASURES = [
  ["dev_accuracy", "Accuracy on dev", share],
  ["dev_loss", "Loss on dev, nats", (value) => value.toFixed(2)],
];

function trainingCurve(model) {
  const points = curve(model);
  const [key, name, show] = MEASURES.find(([each]) => points.every((point) => typeof point[each] === "number")) ?? [];
  if (points.length < 2 || !key || points.some(({ epoch }) => typeof epoch !== "number")) return null;
  const said = points.map((point) => `epoch ${point.epoch}: ${show(point[key])}`).join(", ");
  return h("figure", { class: "training-curve" },
    h("figcaption", { class: "quiet" }, `${name} after each epoch`, model.card.epoch && "; the ringed one is kept"),
    line(points.map((point) => ({ x: point.epoch, y: point[key] })), { x: "epoch" }, { x: String, y: show },
      `Training curve, ${name}: ${said}`, model.card.epoch));
}

const section = (title, ...children) => h("section", { class: "card" }, h("h2", {}, title), children);

/** Fills `container` with the page of `model`; undefined for an id that is not served. */
export function renderModel(container, model, id) {
  if (!model) {
    container.replaceChildren(h("h1", {}, "No such model"), h("p", {}, `“${id}” is not served here. `, h("a", { href: "#page=overview" }, "See the models that are.")));
    return;
  }
  const { about } = model;
  container.replaceChildren(
    h("p", {}, h("a", { href: "#page=overview" }, "All models")),
    h("h1", {}, model.id),
    h("p", { class: "lede" }, about.title, about.title && !about.title.endsWith(".") ? "." : ""),
    h("div", { class: "model-page" },
      section("Estimator", h("dl", { class: "formulas" },
        definition("Forward: what the classifier reads", formula(about.forward_formula)),
        definition("Backward: what the arc scores are told", formula(about.gradient_formula)),
        definition("Source", about.source)),
      model.structure && h("p", { class: "quiet" }, `Structure: ${model.structure} trees. s are the arc scores, γ the gradient of the example's loss at the structure.`)),
      section("Accuracy under each structure", accuracyRows(model),
        h("p", { class: "quiet" }, "On the test set. A classifier saw one of the three in training; the others show what it owes to it.")),
      section("Its trees", treeRows(model)),
      section("Training", trainingRows(model), model.card.note && h("p", { class: "quiet" }, model.card.note), trainingCurve(model))));
}
