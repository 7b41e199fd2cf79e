/** SVG that stands alone: every colour and font is an attribute, so it looks the same in a paper as on the page. */

import { drawPair } from "../aligned.js";
import { arcDiagram } from "../arcs.js";
import { s } from "../dom.js";
import { pictureArcs } from "./arcs-of.js";

export const title = "SVG";
export const extension = "svg";
export const mime = "image/svg+xml";

/** The colours of the light theme: a picture goes onto paper. */
export const PAPER = { map: "#16211b", marginals: "#0a7d6c", sparsemap: "#8a3b86", align: "#9a6a00", soft: "#53635a" };
const FAMILY = "'Source Serif 4', Georgia, 'Times New Roman', serif";
const KEPT = ["d", "x", "y", "viewBox", "width", "height", "fill", "stroke-width", "stroke-opacity", "fill-opacity", "text-anchor", "direction"];

const kindOf = (element) => Object.keys(PAPER).find((kind) => element.classList.contains(kind)) ?? "map";

function paint(copy, element) {
  const put = (attributes) => { for (const [name, value] of Object.entries(attributes)) copy.setAttribute(name, value); };
  if (element.classList.contains("arc")) put({ stroke: PAPER[kindOf(element)], fill: "none", "stroke-width": element.getAttribute("stroke-width") ?? 1.4 });
  if (element.classList.contains("tip")) put({ fill: PAPER[kindOf(element)] });
  if (element.matches(".ribbon, .port")) put({ fill: PAPER.align });
  if (element.classList.contains("word")) put({ fill: PAPER.map, "font-family": FAMILY, "font-size": 17 });
  if (element.classList.contains("root-word")) put({ fill: PAPER.soft, "font-family": FAMILY, "font-size": 12, "font-style": "italic" });
}

/** A copy with nothing of the page left in it: no classes, roles or data attributes. */
function plain(element) {
  const copy = document.createElementNS(element.namespaceURI, element.localName);
  for (const name of KEPT) if (element.hasAttribute(name)) copy.setAttribute(name, element.getAttribute(name));
  paint(copy, element);
  copy.append(...[...element.childNodes].map((child) => (child.nodeType === Node.TEXT_NODE ? child.cloneNode() : plain(child))));
  return copy;
}

/** A diagram without the page around it. */
function alone(svg) {
  const copy = plain(svg);
  svg.drawn.words.forEach((word, index) => {
    // Where the type is missing, the words keep the widths that the arcs were laid out for.
    const text = copy.querySelectorAll("g")[0].children[index];
    text.setAttribute("textLength", word.width.toFixed(1));
    text.setAttribute("lengthAdjust", "spacingAndGlyphs");
  });
  return copy;
}

/** Both sentences of a pair and the ribbons between them: drawings within a drawing. */
function pairPicture({ model, show, threshold }) {
  const { trees, offsets, between } = drawPair(model, { show, threshold });
  const width = between.width.baseVal.value;
  let top = 0;
  const parts = [[alone(trees[0]), offsets[0]], [plain(between), 0], [alone(trees[1]), offsets[1]]].map(([part, left]) => {
    part.setAttribute("x", left);
    part.setAttribute("y", top);
    top += part.height.baseVal.value;
    return part;
  });
  return s("svg", { width, height: top, viewBox: `0 0 ${width} ${top}` }, parts);
}

/** The picture as an element of its own. */
export function picture(choice) {
  const { sentence, structure, threshold, name, model } = choice;
  const copy = structure === "alignment" ? pairPicture(choice) : alone(arcDiagram(sentence.tokens, pictureArcs(sentence, structure, threshold)));
  const words = structure === "alignment" ? model.sentences.map(({ tokens }) => tokens.join(" ")).join(" / ") : sentence.tokens.join(" ");
  copy.prepend(s("title", {}, `${name}: ${words}`));
  return copy;
}

export const make = (choice) => `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(picture(choice))}\n`;
