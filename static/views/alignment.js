/** A pair's words between its trees: which words of the other sentence the classifier compares each word with. */

import { drawPair, structureShown } from "../aligned.js";
import { cardHead } from "../card.js";
import { h, percent, s } from "../dom.js";
import { HEIGHT } from "../ribbons.js";

export const title = "Alignment";
export const takes = "pair";

const LABEL = 34; // px that "100 %" needs
const TREES = { map: "best tree", marginals: "arc marginals", sparsemap: "mixture of trees" };

/** Fills `container` with a card per model. */
export function render(container, result) {
  const models = result.models.filter(({ alignment }) => alignment);
  if (models.length === 0) {
    container.replaceChildren(h("p", { class: "message" }, "None of these models aligns the words of a pair."));
    return;
  }
  const cards = models.map((model) => card(model, result));
  container.replaceChildren(
    h("p", { class: "quiet legend" }, "Each word is compared with a mixture of the other sentence's words. A ribbon is as wide at either end as that word's share of the mixture; point at a word to read its row."),
    h("div", { class: "cards" }, cards.map(({ element }) => element)));
  const widest = Math.max(...cards.map(({ width }) => width));
  container.querySelector(".cards").style.setProperty("--card", `${Math.max(320, widest + 56)}px`);
}

function card(model, { options }) {
  const { trees, offsets, between } = drawPair(model, options);
  trees.forEach((svg, index) => svg.style.setProperty("margin-left", `${offsets[index]}px`));
  const side = (name, ...children) => h("div", { class: "aligned-side", data: { side: name } }, children);
  const aligned = h("div", { class: "aligned" }, side("premise", trees[0]), between, side("hypothesis", trees[1]));
  attachRows(aligned, between);
  const structure = trees.some(({ drawn }) => drawn.arcs.length > 0) && structureShown(model, options.show);
  return {
    width: between.width.baseVal.value,
    element: h("article", { class: "card", "aria-labelledby": `model-${model.id}`, data: { model: model.id } },
      cardHead(model, options),
      h("figure", {},
        h("figcaption", { class: "quiet" }, "Premise above, hypothesis below", structure && `, each with its ${TREES[structure]}`),
        h("div", { class: "scroller", role: "region", "aria-label": `Alignment of ${model.id}` }, aligned))),
  };
}

/** Shows the row of a word: its ribbons alone, and its probabilities beside the words of the other sentence. */
function showRow(aligned, between, line, index) {
  const down = line === "premise";
  for (const path of between.querySelectorAll(".ribbon")) path.classList.toggle("own", Number(down ? path.dataset.from : path.dataset.to) === index);
  for (const port of between.querySelectorAll(".port")) {
    const here = port.parentNode.dataset.line === line && Number(port.dataset.index) === index;
    port.setAttribute("aria-selected", String(here));
  }
  const rows = between.drawn.filter((ribbon) => (down ? ribbon.from : ribbon.to) === index);
  const labels = rows.map((ribbon) => ({ x: between.places[down ? 1 : 0][down ? ribbon.to : ribbon.from], share: down ? ribbon.down : ribbon.up }));
  between.querySelector(".row-labels").replaceChildren(...placeLabels(labels.filter(({ share }) => share >= 0.005), down));
  aligned.classList.add("one");
}

/** A label per word, in two lines where they would touch. */
function placeLabels(labels, down) {
  const ends = [-Infinity, -Infinity];
  return labels.sort((a, b) => a.x - b.x).map(({ x, share }) => {
    const line = x - ends[0] < LABEL ? 1 : 0;
    ends[line] = x;
    const y = down ? HEIGHT - 10 - 16 * line : 19 + 16 * line;
    return s("text", { x: x.toFixed(1), y, "text-anchor": "middle" }, percent(share));
  });
}

function hideRow(aligned, between) {
  aligned.classList.remove("one");
  for (const each of between.querySelectorAll(".own")) each.classList.remove("own");
  for (const each of between.querySelectorAll("[aria-selected=true]")) each.setAttribute("aria-selected", "false");
  between.querySelector(".row-labels").replaceChildren();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Pointer and keyboard: a word, or its bar, shows its row. */
function attachRows(aligned, between) {
  const walk = (list, step) => {
    const all = [...list.children];
    const at = all.findIndex((port) => port.id === list.getAttribute("aria-activedescendant"));
    const index = (Math.max(0, at) + step + all.length) % all.length;
    list.setAttribute("aria-activedescendant", all[index].id);
    showRow(aligned, between, list.dataset.line, index);
  };
  aligned.addEventListener("pointerover", ({ target }) => {
    const word = target.closest("[data-word]");
    if (word) showRow(aligned, between, word.closest("[data-side]").dataset.side, Number(word.dataset.word) - 1);
    else if (target.closest(".port")) showRow(aligned, between, target.parentNode.dataset.line, Number(target.dataset.index));
    else if (!between.contains(document.activeElement)) hideRow(aligned, between);
  });
  aligned.addEventListener("pointerleave", () => hideRow(aligned, between));
  aligned.addEventListener("focusin", ({ target }) => target.closest(".ports") && walk(target, 0));
  aligned.addEventListener("focusout", () => hideRow(aligned, between));
  aligned.addEventListener("keydown", (event) => {
    const list = event.target.closest(".ports");
    if (!list) return;
    if (event.key === "Escape") hideRow(aligned, between);
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    // Where the line runs from right to left, so do the keys.
    const back = event.key.endsWith("Right") || event.key.endsWith("Left") ? between.places[list.dataset.line === "premise" ? 0 : 1] : [];
    walk(list, STEPS[event.key] * (back.length > 1 && back[0] > back[1] ? -1 : 1));
  });
}
