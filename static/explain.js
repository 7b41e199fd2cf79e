/** The explanation's pictures: four words whose scores the reader makes flatter or sharper. */

import { arcDiagram } from "./arcs.js";
import { h, percent, plural } from "./dom.js";
import { fontsReady } from "./measure.js";
import { allTrees, best, gibbs, sparsemap } from "./small-trees.js";
import { arcsOf, unionOf } from "./trees.js";

const TOKENS = ["nobody", "saw", "that", "coming"];
// Made up for the picture: rows are heads (root first), columns words; what matters is that two heads compete.
const SCORES = [
  [0, 0.1, 1.4, 0.0, 0.6],
  [0, 0.0, 0.3, 0.1, 0.0],
  [0, 1.2, 0.0, 0.7, 1.0],
  [0, 0.0, 0.2, 0.0, 0.4],
  [0, 0.2, 0.7, 0.3, 0.0],
];

const scaled = (scale) => SCORES.map((row) => row.map((score) => score * scale));
const weighted = (arcs, kind, side) => arcs.filter(({ weight }) => weight > 0.004).map((arc) => ({ ...arc, kind, side, weighted: true }));

/** Fills the boxes of the explanation, {map, marginals, sparsemap}, and puts the slider into `control`. */
export async function explain(boxes, control) {
  await fontsReady();
  const trees = allTrees(TOKENS.length);
  const draw = (scale) => {
    const scores = scaled(scale);
    const tree = best(trees, scores);
    const all = gibbs(trees, scores);
    const few = sparsemap(trees, scores);
    const share = Math.max(...all.map(({ weight }) => weight));
    fill(boxes.map, arcsOf(tree).map((arc) => ({ ...arc, kind: "map", side: "above" })), "MAP", "1 tree. It is the same one at every setting.");
    fill(boxes.marginals, weighted(unionOf(all), "marginals", "below"), "Marginals", `All ${trees.length} trees; the best one holds ${percent(share)}.`);
    fill(boxes.sparsemap, weighted(unionOf(few), "sparsemap", "above"), "SparseMAP",
      `${plural(few.length, "tree")} of ${trees.length}: ${few.map(({ weight }) => percent(weight)).join(" + ")}.`);
  };
  const slider = h("input", { type: "range", id: "sharpness", min: 0.1, max: 3, step: 0.05, value: 1, on: { input: () => draw(Number(slider.value)) } });
  control.replaceChildren(h("label", { for: "sharpness" }, "Try it: how sharp are the scores?"),
    h("span", { class: "sharpness" }, h("span", { class: "quiet" }, "all alike"), slider, h("span", { class: "quiet" }, "far apart")));
  draw(1);
}

function fill(box, arcs, label, note) {
  box.replaceChildren(arcDiagram(TOKENS, arcs, { label: `Example: ${label}` }), h("p", { class: "note" }, note));
}
