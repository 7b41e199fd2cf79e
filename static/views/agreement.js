/** How far each pair of models agrees on the trees, with two trees that need no model as a baseline. */

import { h, percent } from "../dom.js";
import { arcsOf, arcsUnder, attachment, expectedAgreement, leftBranching, rightBranching } from "../trees.js";

export const title = "Agreement";

const MEASURES = {
  map: { title: "MAP trees", note: "Share of words that have the same head in both MAP trees (UAS)." },
  marginals: { title: "Marginals", note: "Expected agreement: draw a tree from each; the share of words with the same head, on average." },
};

/** Fills `container` with a matrix per measure. */
export function render(container, result) {
  const models = result.models.filter((model) => model.sentences.some(({ trees }) => trees));
  if (models.length === 0) {
    container.replaceChildren(h("p", { class: "message" }, "None of these models has trees that could agree."));
    return;
  }
  const names = [...models.map(({ id }) => id), ...Object.keys(BASELINES)];
  container.replaceChildren(h("div", { class: "matrices agreements" }, Object.entries(MEASURES).map(([measure, { title: text, note }]) =>
    h("section", { class: "card" }, h("h3", {}, text), h("p", { class: "quiet" }, note),
      h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `Agreement of ${text}` },
        matrix(names, agreementOf(result, models, measure), text))))));
}

const BASELINES = { "left-branching": leftBranching, "right-branching": rightBranching };

/** A function of two names: models ask the service's numbers, baselines are computed here. */
function agreementOf({ agreement }, models, measure) {
  const known = new Map(agreement.flatMap((each) => {
    const [a, b] = each.models;
    return [[`${a} ${b}`, each[measure]], [`${b} ${a}`, each[measure]]];
  }));
  const of = (name) => models.find(({ id }) => id === name);
  return (a, b) => {
    if (known.has(`${a} ${b}`)) return known.get(`${a} ${b}`);
    const lengths = models[0].sentences.map(({ tokens }) => tokens.length);
    const words = lengths.reduce((sum, length) => sum + length, 0);
    const parts = lengths.map((length, index) => {
      const [p, q] = [a, b].map((name) => (BASELINES[name] ? BASELINES[name](length) : of(name).sentences[index]));
      return length * (measure === "map" ? attachment(...[p, q].map(headsOf)) : expectedAgreement(...[p, q].map(marginalsOf), length));
    });
    return parts.reduce((sum, part) => sum + part, 0) / words;
  };
}

const headsOf = (tree) => (Array.isArray(tree) ? tree : tree.trees.map.heads);
const marginalsOf = (tree) => (Array.isArray(tree) ? arcsOf(tree) : arcsUnder(tree, "marginals"));

const DEEPEST = 45; // % of the colour in a cell of full agreement: as much as the figure on it can be read on, in both themes

function matrix(names, agreement, caption) {
  const cell = (a, b) => {
    const share = agreement(a, b);
    if (share === null || share === undefined) return h("td", {}, "–");
    return h("td", { class: a === b ? "share-cell self" : "share-cell", style: { "--share": `${Math.round(share * DEEPEST)}%` } }, percent(share));
  };
  return h("table", { class: "agreement" }, h("caption", { class: "sr-only" }, caption),
    h("thead", {}, h("tr", {}, h("td", {}), names.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, names.map((a) => h("tr", {}, h("th", { scope: "row" }, a), names.map((b) => cell(a, b))))));
}
