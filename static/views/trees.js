/** Small multiples: every model with its answer and its trees as arc diagrams. */

import { answerLine } from "../answer.js";
import { arcRows } from "../arcs.js";
import { cardHead } from "../card.js";
import { h, percent, plural } from "../dom.js";
import { glance } from "../glance.js";
import { NAMES } from "../names.js";
import { sideOf } from "../result.js";
import { arcsOf, arcsUnder } from "../trees.js";

export const title = "Trees";

const INSIDE = 46; // px of a card that are not its diagrams: padding and border
const COLUMN = 560; // px: a wrapped card is at least this wide, where there is room

/** The width that rows are wrapped to; without wrapping there is no limit. */
function rowWidth(container, fit) {
  if (fit !== "wrap") return Infinity;
  const columns = Math.max(1, Math.floor(container.clientWidth / COLUMN));
  return container.clientWidth / columns - INSIDE - (columns > 1 ? 20 : 0);
}

/** Fills `container` with all answers at a glance and a card per model. */
export function render(container, { ...result }) {
  result.options = { ...result.options, maxWidth: rowWidth(container, result.options.fit) };
  const cards = result.models.map((model) => card(model, result));
  const grid = h("div", { class: `cards fit-${result.options.fit}` }, cards);
  container.replaceChildren(...[glance(result.models), grid].filter(Boolean));
  const widest = Math.max(0, ...[...grid.querySelectorAll(".main-figure svg")].map((svg) => svg.drawn.width));
  grid.style.setProperty("--card", `${Math.max(320, Math.ceil(widest) + 56)}px`);
}

function card(model, result) {
  const sentences = () => model.sentences.map((sentence, index) => figures(model, sentence, sideOf(result, index), result.options));
  const element = h("article", { class: "card", "aria-labelledby": `model-${model.id}`, data: { model: model.id } },
    cardHead(model, result.options),
    model.sentences.some(({ trees }) => trees) ? sentences() : noTrees(model));
  element.style.setProperty("--tall", `${tallness(element)}px`);
  return element;
}

const HEAD = 185; // px of a card without any diagram
const CAPTION = 84; // px beside a figure's diagrams

const total = (values) => values.reduce((sum, value) => sum + value, 0);

/** About how tall a card will be: what it takes in the page before it is scrolled to and laid out. */
function tallness(element) {
  const tall = (svg) => Number(svg.getAttribute("height"));
  const figures = [...element.querySelectorAll(".main-figure, .mixture")].map((figure) => {
    const rows = [...figure.querySelectorAll(":scope > .scroller > svg")].map(tall);
    const support = [...figure.querySelectorAll(".support svg")].map(tall);
    return CAPTION + total(rows) + (support.length > 0 ? SMALL * 0.6 * total(support) + 50 : 0);
  });
  return Math.round(HEAD + total(figures));
}

const noTrees = (model) => h("div", { class: "no-trees" },
  model.sentences.map(({ tokens }) => h("p", { class: "plain-sentence", dir: "auto" }, tokens.join(" "))),
  h("p", { class: "quiet" }, "No tree in the middle: the baseline that the others are held against."));

/** The diagrams of one sentence: one tree above and the marginals below on one line of words, then SparseMAP. */
function figures(model, sentence, side, options) {
  const { show, threshold, maxWidth } = options;
  const label = `${model.id}${side ? `, ${side}` : ""}`;
  const arcs = [
    ...(show.includes("map") ? above(arcsUnder(sentence, "map"), "map") : []),
    ...(show.includes("marginals") ? below(arcsUnder(sentence, "marginals").filter((arc) => arc.weight >= threshold)) : []),
  ];
  const both = ["map", "marginals"].filter((name) => show.includes(name));
  return h("div", { class: "sentence", data: { side: side ?? "" } },
    side && h("h4", {}, side),
    both.length > 0 && h("figure", { class: "main-figure" },
      show.includes("map") && caption(model, "map"),
      scroller(arcRows(sentence.tokens, arcs, { label: `${label}: ${both.map((name) => NAMES[name]).join(" and ")}`, maxWidth }), label),
      show.includes("marginals") && caption(model, "marginals")),
    show.includes("sparsemap") && mixture(model, sentence, label, options));
}

const above = (arcs, kind) => arcs.map((arc) => ({ ...arc, side: "above", kind }));
const below = (arcs) => arcs.map((arc) => ({ ...arc, side: "below", kind: "marginals", weighted: true }));

function caption(model, structure, extra = null) {
  const outcome = model.by_structure[structure];
  const own = model.forward_structure === structure;
  const differs = outcome && outcome.label !== model.label;
  return h("figcaption", { class: `caption ${structure}`, data: { structure } },
    h("span", { class: "structure-name" }, NAMES[structure]), extra,
    outcome && answerLine(outcome, model.before?.by_structure[structure]),
    own && h("span", { class: "tag", title: "The structure that this classifier saw in training" }, "trained with"),
    differs && h("span", { class: "tag alert", title: "Another label than under the structure it was trained with" }, "changes its mind"));
}

/** SparseMAP: its mixture, and each tree of the support in order of weight. */
function mixture(model, sentence, label, { threshold, maxWidth }) {
  const support = sentence.trees.sparsemap ?? [];
  const size = sentence.trees.support_size ?? support.length;
  const union = arcsUnder(sentence, "sparsemap").filter((arc) => arc.weight >= Math.min(threshold, 1))
    .map((arc) => ({ ...arc, side: "above", kind: "sparsemap", weighted: true }));
  return h("figure", { class: "mixture" },
    caption(model, "sparsemap", h("span", { class: "quiet" }, size === 1 ? "one tree is enough" : `a mixture of ${plural(size, "tree")}`)),
    scroller(arcRows(sentence.tokens, union, { label: `${label}: SparseMAP`, maxWidth }), label),
    union.length === 0 && h("p", { class: "quiet" }, `No arc has ${percent(threshold)} of the mixture: many trees share it.`),
    support.length > 1 && supportTrees(support, sentence.tokens, label, maxWidth / SMALL));
}

const SMALL = 0.68; // the scale of a tree of the support, as in the style sheet
const AT_ONCE = 4; // trees of the support that are drawn unasked

/** The heaviest trees, and the rest when they are asked for. */
function supportTrees(support, tokens, label, maxWidth) {
  const items = (trees) => trees.map((tree) => supportTree(tree, tokens, label, maxWidth));
  const list = h("ol", { class: "support", "aria-label": "Trees of the support" }, items(support.slice(0, AT_ONCE)));
  const rest = support.slice(AT_ONCE);
  if (rest.length === 0) return list;
  const weight = rest.reduce((sum, tree) => sum + tree.weight, 0);
  const more = h("button", { type: "button", class: "ghost small more", on: { click: () => {
    list.append(...items(rest));
    list.tabIndex = -1;
    list.focus();
    more.remove();
  } } }, `${plural(rest.length, "lighter tree")}, ${percent(weight)} together`);
  return [list, more];
}

const supportTree = ({ heads, weight }, tokens, label, maxWidth) =>
  h("li", { data: { weight } },
    h("span", { class: "share" }, percent(weight)),
    h("span", { class: "share-bar", "aria-hidden": "true" }, h("span", { style: { width: `${weight * 100}%` } })),
    scroller(arcRows(tokens, above(arcsOf(heads), "sparsemap"), { label: `${label}: tree of weight ${percent(weight)}`, maxWidth }), label));

/** Long sentences scroll inside their figure, so the page itself never does; the keyboard gets there by its arcs, or without. */
const scroller = (rows, label) =>
  h("div", { class: "scroller", role: "region", "aria-label": `Diagram of ${label}`, tabindex: rows.some(({ drawn }) => drawn.arcs.length > 0) ? null : 0 }, rows);
