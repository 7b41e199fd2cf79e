/** Pointer and keyboard on diagrams: what lies under the pointer is said, and lit in every diagram at once. */

import { describe, openList } from "./arcs.js";
import { arcAt } from "./layout.js";
import { keyOf } from "./trees.js";

/** The point of an event in the coordinates of a diagram's layout. */
export function pointIn(svg, event) {
  const box = svg.getBoundingClientRect();
  const { x, y, width, height } = svg.viewBox.baseVal;
  return [x + ((event.clientX - box.left) / box.width) * width, y + ((event.clientY - box.top) / box.height) * height];
}

/** Lights an arc wherever it is drawn for the same sentence; null puts all out. */
export function light(container, key, side) {
  for (const lit of container.querySelectorAll(".lit")) lit.classList.remove("lit");
  if (key === null) return;
  const safe = CSS.escape(key);
  for (const path of container.querySelectorAll(`[data-arc="${safe}"]`)) {
    if ((path.closest("[data-side]")?.dataset.side ?? "") === side) path.classList.add("lit");
  }
}

const sideAround = (svg) => svg.closest("[data-side]")?.dataset.side ?? "";

function showTip(tip, text, left, top) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.setProperty("left", `${Math.max(6, Math.min(innerWidth - width - 6, left - width / 2))}px`);
  tip.style.setProperty("top", `${Math.max(6, top - height - 12)}px`);
}

/** Listens on `container` for all its diagrams, present and future. */
export function attachPointers(container, tip) {
  let lit = "";
  const out = () => {
    if (lit) light(container, null, "");
    lit = "";
    tip.hidden = true;
  };
  const over = (svg, arc, left, top) => {
    const side = sideAround(svg);
    const now = `${keyOf(arc)} ${side}`;
    if (now !== lit) light(container, keyOf(arc), side);
    lit = now;
    showTip(tip, describe(arc, svg.tokens), left, top);
  };
  container.addEventListener("pointermove", (event) => {
    const svg = event.target.closest("svg.diagram");
    const arc = svg && arcAt(svg.drawn, ...pointIn(svg, event));
    const said = event.target.dataset?.tip; // an element that says what it is: a cell of the matrix
    if (arc) over(svg, arc, event.clientX, event.clientY);
    else if (said) showTip(tip, said, event.clientX, event.clientY);
    else out();
  });
  container.addEventListener("pointerleave", out);
  container.addEventListener("focusout", out);
  container.addEventListener("focusin", (event) => {
    const bundle = event.target.closest?.(".bundle");
    if (!bundle) return;
    openList(bundle);
    move(bundle, 0, over);
  });
  container.addEventListener("keydown", (event) => {
    const bundle = event.target.closest?.(".bundle");
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") out();
    if (!bundle || !step) return;
    event.preventDefault();
    move(bundle, step, over);
  });
}

/** The arcs of a diagram in reading order, for the arrow keys. */
const readingOrder = (svg) =>
  svg.drawn.arcs.map((arc, index) => ({ arc, index }))
    .sort((a, b) => a.arc.side.localeCompare(b.arc.side) || a.arc.modifier - b.arc.modifier || b.arc.weight - a.arc.weight);

/** The arc that the keyboard is on, or undefined. */
export function activeArc(bundle) {
  const id = bundle.getAttribute("aria-activedescendant");
  return id ? bundle.closest("svg").drawn.arcs[Number(id.split("-").pop())] : undefined;
}

function move(bundle, step, over) {
  const svg = bundle.closest("svg");
  const order = readingOrder(svg);
  const at = order.findIndex(({ arc }) => arc === activeArc(bundle));
  const { arc, index } = order[(Math.max(0, at) + step + order.length) % order.length];
  const path = bundle.querySelectorAll(".arc")[index];
  for (const each of bundle.querySelectorAll("[aria-selected=true]")) each.setAttribute("aria-selected", "false");
  path.setAttribute("aria-selected", "true");
  bundle.setAttribute("aria-activedescendant", path.id);
  const box = path.getBoundingClientRect();
  over(svg, arc, box.left + box.width / 2, box.top);
}
