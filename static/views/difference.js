/** Two trees on one line of words: what both hold, what only A, what only B, told apart by colour and by dash. */

import { arcDiagram } from "../arcs.js";
import { answerLine } from "../answer.js";
import { h, percent, plural } from "../dom.js";
import { NAMES } from "../names.js";
import { sideOf } from "../result.js";
import { STRUCTURES } from "../state.js";
import { arcsUnder, difference } from "../trees.js";

export const title = "Difference";

/** Fills `container` with two choices and one canvas per sentence. */
export function render(container, result) {
  const models = result.models.filter((model) => model.sentences.some(({ trees }) => trees));
  if (models.length === 0) {
    container.replaceChildren(h("p", { class: "message" }, "None of these models has trees to compare."));
    return;
  }
  const choices = models.flatMap((model) => STRUCTURES.map((structure) => ({ key: `${model.id}/${structure}`, model, structure })));
  const find = (key, fallback) => choices.find((choice) => choice.key === key) ?? fallback;
  const a = find(result.options.a, choices[0]);
  const b = find(result.options.b, choices[3] ?? choices[1]);
  const focused = document.activeElement?.id;
  container.replaceChildren(
    h("div", { class: "control-row pickers" }, picker("a", "A", a, choices), picker("b", "B", b, choices)),
    ...a.model.sentences.map((sentence, index) => canvas(a, b, index, sideOf(result, index), result.options.threshold)));
  if (focused === "pick-a" || focused === "pick-b") container.querySelector(`#${focused}`).focus();
}

/** A choice says what it wants through an event; the page holds the state. */
function picker(name, shown, chosen, choices) {
  const change = (event) => event.target.dispatchEvent(new CustomEvent("change-state", { bubbles: true, detail: { [name]: event.target.value } }));
  return h("div", { class: `picker only-${name}` },
    h("label", { class: "select" }, h("span", { class: "diff-key" }, shown),
      h("select", { id: `pick-${name}`, on: { change } }, choices.map(({ key, model, structure }) =>
        h("option", { value: key, selected: key === chosen.key }, `${model.id} · ${NAMES[structure]}`)))),
    answerLine(chosen.model.by_structure[chosen.structure] ?? chosen.model));
}

function canvas(a, b, index, side, threshold) {
  const arcs = (choice) => arcsUnder(choice.model.sentences[index], choice.structure).filter((arc) => arc.weight >= threshold);
  const { shared, onlyA, onlyB } = difference(arcs(a), arcs(b));
  const weighted = (choice) => choice.structure !== "map";
  const drawn = [
    ...shared.map((arc) => ({ ...arc, side: "above", kind: "shared", weighted: weighted(a) })),
    ...onlyA.map((arc) => ({ ...arc, side: "above", kind: "only-a", weighted: weighted(a) })),
    ...onlyB.map((arc) => ({ ...arc, side: "below", kind: "only-b", weighted: weighted(b) })),
  ];
  const { tokens } = a.model.sentences[index];
  const label = `Difference of ${a.key} and ${b.key}${side ? `, ${side}` : ""}`;
  return h("figure", { class: "card difference", data: { side: side ?? "" } },
    side && h("h4", {}, side),
    h("figcaption", { class: "diff-legend" },
      h("span", { class: "diff-key shared" }, `both: ${plural(shared.length, "arc")}`),
      h("span", { class: "diff-key only-a" }, `only A, above: ${onlyA.length}`),
      h("span", { class: "diff-key only-b" }, `only B, below: ${onlyB.length}`),
      h("span", { class: "quiet" }, `${percent(shared.length / Math.max(1, shared.length + onlyA.length))} of A's arcs are B's too`)),
    h("div", { class: "scroller", role: "region", "aria-label": label, tabindex: drawn.length > 0 ? null : 0 }, arcDiagram(tokens, drawn, { label })));
}
