/** Draws a pair: the premise with its tree above, the hypothesis with its tree below, and ribbons between their words. */

import { arcDiagram } from "./arcs.js";
import { percent, s } from "./dom.js";
import { isRightToLeft } from "./measure.js";
import { HEIGHT, ribbons, ROOM } from "./ribbons.js";
import { arcsUnder } from "./trees.js";

const SIDES = ["premise", "hypothesis"];
const INSET = 160; // px at most that the shorter sentence stands in from where the longer one begins
const PORT = 3; // px, the bar of each word that its ribbons leave from

/** The structure whose trees are drawn: the one that the classifier reads, unless it is not shown. */
export const structureShown = (model, show) => (show.includes(model.forward_structure) ? model.forward_structure : show[0]);

function treeOf(model, index, { show, threshold }) {
  const structure = structureShown(model, show);
  const weighted = structure !== "map";
  const arcs = (structure ? arcsUnder(model.sentences[index], structure) : []).filter((arc) => !weighted || arc.weight >= threshold)
    .map((arc) => ({ ...arc, weighted, kind: structure, side: index === 0 ? "above" : "below" }));
  return arcDiagram(model.sentences[index].tokens, arcs, { label: `${model.id}, ${SIDES[index]}` });
}

/** Opacity of a ribbon: proportional, lifted so that the faintest is still seen. */
const opacity = (weight) => Number((0.1 + 0.75 * weight).toFixed(2));

/** A word's row, heaviest first: "guitar: music 62 %, Nobody 20 %". */
function rowInWords(token, row, others) {
  const heaviest = row.map((weight, k) => [weight, others[k]]).filter(([weight]) => weight >= 0.005).sort(([a], [b]) => b - a);
  return `${token}: ${heaviest.map(([weight, other]) => `${other} ${percent(weight)}`).join(", ")}`;
}

/** How far a sentence stands from the left: in the middle of a short pair, near the beginning of a long one. */
function offsetOf({ drawn, tokens }, width) {
  const free = width - Math.ceil(drawn.width);
  const inset = Math.min(free / 2, INSET);
  return isRightToLeft(tokens) ? free - inset : inset;
}

/** The bars of one sentence's words: a list that the keyboard walks, one row of the alignment an item. */
function ports(side, places, y, rows, [tokens, others], prefix) {
  return s("g", { class: "ports", role: "listbox", tabindex: 0, "data-line": side,
    "aria-label": `Words of the ${side}, arrow keys walk through them` },
  places.map((x, index) => s("rect", { class: "port", id: `${prefix}-${side}-${index}`, role: "option", "aria-selected": "false", "data-index": index,
    "aria-label": rowInWords(tokens[index], rows[index], others), x: (x - ROOM / 2).toFixed(2), y, width: ROOM, height: PORT })));
}

function ribbonsBetween(model, places, width, threshold) {
  const { premise_to_hypothesis: down, hypothesis_to_premise: up } = model.alignment;
  const tokens = model.sentences.map((sentence) => sentence.tokens);
  const drawn = ribbons(...places, { down, up }, threshold);
  const said = ({ from, to, down: there, up: back }) =>
    `${tokens[0][from]} → ${tokens[1][to]} ${percent(there)}, back ${percent(back)}`;
  return Object.assign(s("svg", { class: "between", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "group",
    "aria-label": `Alignment of ${model.id}. The table view holds the same numbers.` },
  s("g", { class: "ribbons", "aria-hidden": "true" }, drawn.map((ribbon) => s("path", { class: "ribbon", d: ribbon.path,
    "fill-opacity": opacity(ribbon.weight), "stroke-opacity": opacity(ribbon.weight), "data-from": ribbon.from, "data-to": ribbon.to, "data-tip": said(ribbon) }))),
  ports("premise", places[0], 0, down, tokens, model.id),
  ports("hypothesis", places[1], HEIGHT - PORT, up, [...tokens].reverse(), model.id),
  s("g", { class: "row-labels", "aria-hidden": "true" })), { drawn, places });
}

/**
 * The three drawings of a pair, to be stacked around one middle.
 *
 * @returns {{trees: SVGSVGElement[], offsets: number[], between: SVGSVGElement}} the diagrams of both sentences, how far
 *   each stands from the left, px, and the ribbons, which hold what is `drawn` and the `places` of all words
 */
export function drawPair(model, options) {
  const trees = model.sentences.map((_, index) => treeOf(model, index, options));
  const width = Math.ceil(Math.max(...trees.map((svg) => svg.drawn.width)));
  const offsets = trees.map((svg) => offsetOf(svg, width));
  const places = trees.map(({ drawn }, index) => drawn.words.map(({ x }) => x + offsets[index]));
  return { trees, offsets, between: ribbonsBetween(model, places, width, options.threshold) };
}
