/** Draws one laid-out sentence as SVG. Weights are presentation attributes; colours come from the style sheet by class. */

import { percent, plural, s } from "./dom.js";
import { layout } from "./layout.js";
import { isRightToLeft, widthsOf } from "./measure.js";
import { keyOf } from "./trees.js";
import { wrap } from "./wrap.js";

const PAD = 8; // px above and below the drawing
let serial = 0;

/** Stroke width in px of an arc that carries `weight` of the probability; in a deep nest lines leave a gap between them. */
export const strokeWidth = (weight, step = Infinity) => Math.max(0.6, Math.min(0.5 + 3 * weight, (0.3 + weight) * (step - 1)));

/** What the layout is told of an arc: a heavy one takes more room on its words. */
export const withRoom = (arc) => ({ ...arc, room: arc.weighted ? 1.2 + strokeWidth(arc.weight) : 2.5 });

/** Opacity of such an arc: proportional, lifted so that the faintest is still seen. */
export const strokeOpacity = (weight) => Math.min(1, 0.14 + 0.86 * weight);

/** What an arc says to a reader: "film → gripping · 72 %". */
export function describe(arc, tokens) {
  const head = arc.head === 0 ? "root" : tokens[arc.head - 1];
  const share = arc.weighted ? ` · ${percent(arc.weight)}` : "";
  return `${head} → ${tokens[arc.modifier - 1]}${share}`;
}

/** The triangle at the modifier's end, as path data. */
export function tipOf(arc, textHeight) {
  const size = arc.weighted ? 2.2 + 2.6 * arc.weight : 3.6;
  const up = arc.side === "below" ? 1 : -1;
  const foot = (arc.side === "below" ? textHeight : 0) - up * 3;
  const [x, back] = [Math.round(arc.xModifier * 100) / 100, foot + up * size * 1.9];
  return `M${x} ${foot}L${x - size} ${back}H${x + size}Z`;
}

const PLAIN = { "only-a": 2, "only-b": 2.4 }; // px, for arcs without weight; dashes need more than the usual 1.4

/** One blank line of each kind: a page of many models has thousands of arcs, and a copy costs less than a new element. */
const blanks = new Map();

function blankLine(kind) {
  if (!blanks.has(kind)) blanks.set(kind, s("path", { class: `arc ${kind}`, "stroke-width": PLAIN[kind] ?? 1.4 }));
  return blanks.get(kind).cloneNode();
}

function lineOf(arc) {
  const line = blankLine(arc.kind);
  line.setAttribute("d", arc.path);
  line.setAttribute("data-arc", keyOf(arc));
  if (arc.weighted) {
    line.setAttribute("stroke-width", strokeWidth(arc.weight, arc.step).toFixed(2));
    line.setAttribute("stroke-opacity", strokeOpacity(arc.weight).toFixed(2));
  }
  return line;
}

/**
 * Makes the arcs of a diagram a list that the keyboard walks and a screen reader reads. Done when the focus comes:
 * a page of many models has thousands of arcs, and their names would take longer than their curves.
 */
export function openList(bundle) {
  if (bundle.getAttribute("role") === "listbox") return;
  const { drawn, tokens } = bundle.closest("svg");
  const prefix = `arc-${(serial += 1)}`;
  bundle.setAttribute("role", "listbox");
  bundle.querySelectorAll(".arc").forEach((path, index) => {
    const attributes = { id: `${prefix}-${index}`, role: "option", "aria-selected": "false", "aria-label": describe(drawn.arcs[index], tokens) };
    for (const name in attributes) path.setAttribute(name, attributes[name]);
  });
}

/** The tips: one path for all that look the same, for a page of many models has thousands of arcs. */
function tipsOf(arcs, textHeight) {
  const alike = new Map();
  for (const arc of arcs) {
    const opacity = arc.weighted ? strokeOpacity(arc.weight).toFixed(1) : "1.0";
    const key = `${arc.kind} ${opacity}`;
    if (!alike.has(key)) alike.set(key, { class: `tip ${arc.kind}`, opacity, paths: [] });
    alike.get(key).paths.push(tipOf(arc, textHeight));
  }
  return [...alike.values()].map((each) =>
    s("path", { d: each.paths.join(""), class: each.class, "fill-opacity": each.opacity, "aria-hidden": "true" }));
}

let lastLine = { tokens: [], words: null }; // the last sentence as elements: its models and trees are drawn from copies of them

function blankWords(tokens, textHeight) {
  const same = tokens.length === lastLine.tokens.length && tokens.every((token, index) => token === lastLine.tokens[index]);
  if (!same) {
    const words = tokens.map((token, index) => s("text", { y: textHeight * 0.66, class: "word", "data-word": index + 1 }, token));
    lastLine = { tokens, words };
  }
  return lastLine.words;
}

function wordsOf({ words, textHeight }, tokens) {
  const blank = blankWords(tokens, textHeight);
  const group = s("g", { class: "words", "text-anchor": "middle", "aria-hidden": "true" });
  for (const { position, x } of words) {
    const text = blank[position - 1].cloneNode(true);
    text.setAttribute("x", x.toFixed(2));
    group.append(text);
  }
  return group;
}

const ROOT_WIDTH = 34; // px that the word "root" needs beside its stem

/** The word "root" beside the top of a tree's stem, so that a picture explains itself; on the side that has room. */
function rootWord({ xModifier: x, height }, { from, width }, rtl) {
  const before = rtl ? x - from > ROOT_WIDTH : x + ROOT_WIDTH > from + width;
  return s("text", { class: "root-word", x: x + (before ? -6 : 6), y: -height + 9, direction: "ltr",
    "text-anchor": before ? "end" : "start", "aria-hidden": "true" }, "root");
}

function svgOf(tokens, drawn, label, rtl) {
  const { arcs, textHeight } = drawn;
  const height = drawn.above + textHeight + drawn.below + 2 * PAD;
  const stems = arcs.filter((arc) => arc.head === 0 && !arc.weighted && arc.side === "above");
  const svg = s("svg", {
    class: "diagram", viewBox: `${drawn.from.toFixed(1)} ${-(drawn.above + PAD)} ${drawn.width.toFixed(1)} ${height.toFixed(1)}`,
    width: Math.ceil(drawn.width), height: Math.ceil(height), role: "group", "aria-label": label,
    direction: rtl ? "rtl" : "ltr", style: { "--wide": `${Math.ceil(drawn.width)}px` },
  },
  wordsOf(drawn, tokens),
  stems.map((arc) => rootWord(arc, drawn, rtl)),
  arcs.length > 0 && s("g", { class: "bundle", role: "img", tabindex: 0, "aria-label": `${label}: ${plural(arcs.length, "arc")}, arrow keys walk through them` },
    arcs.map(lineOf), tipsOf(arcs, textHeight)));
  return Object.assign(svg, { drawn, tokens });
}

/**
 * A diagram in rows no wider than `maxWidth`. Arcs are {head, modifier, weight, side, kind, weighted?}: `kind` is the
 * class that colours it, `weighted` draws the weight as width and opacity.
 *
 * @returns {SVGSVGElement[]} each with `drawn` (its part of the layout, arcs in its order) and `tokens` as properties
 */
export function arcRows(tokens, arcs, { label = "Arc diagram", maxWidth = Infinity } = {}) {
  // Heavy arcs are drawn last, so faint ones never hide them.
  const ordered = arcs.map(withRoom).sort((a, b) => a.weight - b.weight);
  const rtl = isRightToLeft(tokens);
  const rows = wrap(layout(widthsOf(tokens), ordered, { rtl }), maxWidth);
  return rows.map((drawn, index) => svgOf(tokens, drawn, rows.length > 1 ? `${label}, row ${index + 1} of ${rows.length}` : label, rtl));
}

/** The same in one row. */
export const arcDiagram = (tokens, arcs, options) => arcRows(tokens, arcs, options)[0];
