/** Heads × modifiers as a grid: marginals fill a cell, MAP rings it, SparseMAP puts a dot of its weight in it. */

import { verdict } from "../answer.js";
import { h, percent, s } from "../dom.js";
import { isRightToLeft, widthsOf } from "../measure.js";
import { NAMES } from "../names.js";
import { sideOf } from "../result.js";
import { arcsUnder, keyOf } from "../trees.js";

export const title = "Matrix";

/** Fills `container` with a grid per model and sentence. */
export function render(container, result) {
  const models = result.models.filter((model) => model.sentences.some(({ trees }) => trees));
  const cards = models.map((model) => h("article", { class: "card", data: { model: model.id } },
    h("header", { class: "card-head" }, h("h3", {}, model.estimator), verdict(model)),
    model.sentences.map((sentence, index) => {
      const side = sideOf(result, index);
      return h("figure", { class: "sentence", data: { side: side ?? "" } }, side && h("h4", {}, side),
        h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `Matrix of ${model.id}${side ? `, ${side}` : ""}` },
          grid(sentence, result.options)));
    })));
  const legend = h("p", { class: "quiet legend" }, "A row is a head, a column a word. ",
    result.options.show.map((name) => h("span", { class: `key ${name}` }, { map: "ring: MAP", marginals: "shade: marginals", sparsemap: "dot: SparseMAP" }[name])));
  container.replaceChildren(legend, h("div", { class: "cards" }, cards));
  const widest = Math.max(0, ...[...container.querySelectorAll("svg.matrix")].map((svg) => svg.width.baseVal.value));
  container.querySelector(".cards").style.setProperty("--card", `${Math.max(320, Math.min(900, widest) + 60)}px`);
}

/** Cells shrink with the sentence, so that 60 words still make a picture. */
const cellSize = (count) => Math.max(13, Math.min(30, Math.floor(640 / (count + 1))));

function grid({ tokens, trees }, { show, threshold }) {
  const cell = cellSize(tokens.length);
  const type = Math.min(15, cell * 0.8);
  const longest = Math.max(...widthsOf([...tokens, "root"])) * (type / 17);
  const left = Math.min(longest, 160) + 10;
  const size = cell * tokens.length;
  const x = (modifier) => left + (modifier - 1) * cell;
  const y = (head) => left + head * cell;
  const names = ["root", ...tokens];
  const layers = show.flatMap((name) => layer(name, { trees }, { cell, x, y, threshold, names }));
  const label = (attributes, text) => s("text", { class: "matrix-word", "font-size": type, ...attributes }, text);
  return s("svg", { class: "matrix", width: left + size + 2, height: left + size + cell + 2, role: "img",
    "aria-label": `Heads in rows, words in columns, for: ${tokens.join(" ")}. The table view holds the same numbers.` },
  s("rect", { x: left, y: left, width: size, height: size + cell, class: "matrix-ground" }),
  tokens.map((_, index) => s("rect", { x: x(index + 1), y: y(index + 1), width: cell, height: cell, class: "matrix-diagonal" })),
  names.map((name, head) => label({ x: left - 6, y: y(head) + cell / 2 + type * 0.33, "text-anchor": "end", class: head ? "matrix-word" : "matrix-word root" }, name)),
  tokens.map((token, index) => label({ transform: `translate(${x(index + 1) + cell / 2 + type * 0.33} ${left - 6}) rotate(-90)`,
    "text-anchor": isRightToLeft([token]) ? "end" : "start" }, token)),
  layers);
}

function layer(name, sentence, { cell, x, y, threshold, names }) {
  const arcs = arcsUnder(sentence, name).filter((arc) => name === "map" || arc.weight >= threshold);
  return arcs.map((arc) => {
    const said = `${names[arc.head]} → ${names[arc.modifier]} · ${NAMES[name]}${name === "map" ? "" : ` ${percent(arc.weight)}`}`;
    const common = { class: `cell ${name}`, "data-arc": keyOf(arc), "data-tip": said };
    if (name === "sparsemap") {
      return s("circle", { ...common, cx: x(arc.modifier) + cell / 2, cy: y(arc.head) + cell / 2, r: (cell / 2 - 3) * Math.sqrt(arc.weight) });
    }
    const inset = name === "map" ? 1.5 : 0.5;
    return s("rect", { ...common, x: x(arc.modifier) + inset, y: y(arc.head) + inset, width: cell - 2 * inset, height: cell - 2 * inset,
      rx: name === "map" ? 3 : 1.5, "fill-opacity": name === "map" ? null : (0.06 + 0.94 * arc.weight).toFixed(3) });
  });
}
