/** PNG, three pixels to one: drawn on a canvas from the same layout, with the page's own type. */

import { strokeOpacity, strokeWidth, tipOf, withRoom } from "../arcs.js";
import { layout } from "../layout.js";
import { isRightToLeft, widthsOf, WORD_FONT } from "../measure.js";
import { pictureArcs } from "./arcs-of.js";
import { PAPER } from "./svg.js";

export const title = "PNG";
export const extension = "png";
export const mime = "image/png";

const SCALE = 3;
const PAD = 8;

function drawArc(context, arc, drawn) {
  context.strokeStyle = context.fillStyle = PAPER[arc.kind];
  context.globalAlpha = arc.weighted ? strokeOpacity(arc.weight) : 1;
  context.lineWidth = arc.weighted ? strokeWidth(arc.weight, arc.step) : 1.4;
  context.stroke(new Path2D(arc.path));
  context.fill(new Path2D(tipOf(arc, drawn.textHeight)));
  context.globalAlpha = 1;
}

function drawWords(context, tokens, drawn, rtl) {
  context.font = WORD_FONT;
  context.textAlign = "center";
  context.direction = rtl ? "rtl" : "ltr";
  context.fillStyle = PAPER.map;
  drawn.words.forEach((word, index) => context.fillText(tokens[index], word.x, drawn.textHeight * 0.66));
}

export async function make({ sentence: { tokens, trees }, structure, threshold }) {
  const arcs = pictureArcs({ trees }, structure, threshold).map(withRoom).sort((a, b) => a.weight - b.weight);
  const rtl = isRightToLeft(tokens);
  const drawn = layout(widthsOf(tokens), arcs, { rtl });
  const canvas = document.createElement("canvas");
  // A canvas has a largest side; a very long sentence gets fewer pixels instead of none.
  const scale = Math.min(SCALE, 16_000 / drawn.width);
  canvas.width = Math.ceil(drawn.width * scale);
  canvas.height = Math.ceil((drawn.above + drawn.textHeight + drawn.below + 2 * PAD) * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(scale, scale);
  context.translate(0, drawn.above + PAD);
  for (const arc of drawn.arcs) drawArc(context, arc, drawn);
  drawWords(context, tokens, drawn, rtl);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("png: this browser made no picture"))), mime);
  });
}
