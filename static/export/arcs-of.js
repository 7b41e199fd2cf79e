/** The arcs of one picture: what a choice of model, structure and sentence means for every format. */

import { NAMES } from "../names.js";
import { arcsUnder } from "../trees.js";

/** What can be drawn: one structure, or the tree above and its marginals below. */
export const PICTURES = { ...NAMES, both: "MAP above, marginals below" };

/** What can be drawn of a pair, as SVG: both sentences and the alignment between them. */
export const PAIR_PICTURES = { alignment: "Both sentences, aligned", ...PICTURES };

/** The arcs of a picture, as `arcDiagram` and the text formats take them. */
export function pictureArcs(sentence, picture, threshold) {
  const of = (structure, side) => arcsUnder(sentence, structure)
    .filter((arc) => structure === "map" || arc.weight >= threshold)
    .map((arc) => ({ ...arc, side, kind: structure, weighted: structure !== "map" }));
  return picture === "both" ? [...of("map", "above"), ...of("marginals", "below")] : of(picture, "above");
}
