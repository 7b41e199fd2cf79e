/** The same result as tables: for reading exactly, and for screen readers. */

import { h, percent } from "../dom.js";
import { NAMES } from "../names.js";
import { confidence, sideOf } from "../result.js";
import { arcsUnder } from "../trees.js";

export const title = "Table";

/** Fills `container` with the answers of all models, then a table of heads per model and sentence, and of a pair's alignment. */
export function render(container, result) {
  container.replaceChildren(answers(result),
    ...result.models.flatMap((model) => model.sentences.map((sentence, index) =>
      sentence.trees && heads(model, sentence, sideOf(result, index), result.options))).filter(Boolean),
    ...result.models.filter(({ alignment }) => alignment).flatMap(alignments));
}

const wide = (label, table) => h("div", { class: "scroller table-box", tabindex: 0, role: "region", "aria-label": label }, table);

function answers({ models, options: { show } }) {
  const cell = (outcome) => h("td", {}, outcome ? `${outcome.label} ${percent(confidence(outcome))}` : "–");
  return wide("Answers", h("table", {}, h("caption", {}, "Answers"),
    h("thead", {}, h("tr", {}, ["Model", "Answer", ...show.map((name) => `under ${NAMES[name]}`)].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, models.map((model) => h("tr", {}, h("th", { scope: "row" }, model.id), cell(model),
      show.map((name) => cell(model.by_structure[name])))))));
}

function heads(model, sentence, side, { show, threshold }) {
  const name = `${model.id}${side ? `, ${side}` : ""}`;
  const word = (position) => (position === 0 ? "root" : `${sentence.tokens[position - 1]} (${position})`);
  const columns = show.map((structure) => arcsUnder(sentence, structure));
  const cell = (arcs, structure, modifier) => arcs
    .filter((arc) => arc.modifier === modifier && (structure === "map" || arc.weight >= threshold))
    .sort((a, b) => b.weight - a.weight)
    .map((arc) => (structure === "map" ? word(arc.head) : `${word(arc.head)} ${percent(arc.weight)}`)).join(", ") || "–";
  return wide(name, h("table", {}, h("caption", {}, `Heads: ${name}`),
    h("thead", {}, h("tr", {}, ["#", "Word", ...show.map((structure) => `Head, ${NAMES[structure]}`)].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, sentence.tokens.map((token, index) => h("tr", {}, h("td", {}, String(index + 1)),
      h("th", { scope: "row", dir: "auto" }, token), show.map((structure, k) => h("td", {}, cell(columns[k], structure, index + 1))))))));
}

/** What each word takes of the words of the other sentence: two tables, one a direction. */
function alignments({ id, sentences: [premise, hypothesis], alignment }) {
  const table = (name, [rows, columns], shares) => wide(name, h("table", { class: "shares" }, h("caption", {}, name),
    h("thead", {}, h("tr", {}, h("td", {}), columns.tokens.map((token) => h("th", { scope: "col", dir: "auto" }, token)))),
    h("tbody", {}, rows.tokens.map((token, index) => h("tr", {}, h("th", { scope: "row", dir: "auto" }, token),
      shares[index].map((share) => h("td", { style: { "--share": `${Math.round(share * 35)}%` } }, percent(share))))))));
  return [
    table(`Alignment: ${id}, premise over hypothesis`, [premise, hypothesis], alignment.premise_to_hypothesis),
    table(`Alignment: ${id}, hypothesis over premise`, [hypothesis, premise], alignment.hypothesis_to_premise),
  ];
}
