/** Gestures on diagrams that make constraints: click an arc, drag from word to word, or the keys on an arc. */

import { s } from "./dom.js";
import { activeArc, pointIn } from "./interact.js";
import { arcAt } from "./layout.js";

const FORBID_KEYS = ["Delete", "Backspace", "Enter"];

const sideAround = (element) => element.closest("[data-side]")?.dataset.side || undefined;

function tell(element, op, head, modifier) {
  element.dispatchEvent(new CustomEvent("constrain", { bubbles: true, detail: { op, head, modifier, side: sideAround(element) } }));
}

/** The word whose box is nearest to a point of the diagram, by x; a drag may end above or below its word. */
function wordAt(svg, x) {
  const distances = svg.drawn.words.map((word) => Math.max(0, Math.abs(word.x - x) - word.box / 2 - 8));
  const least = Math.min(...distances);
  return least > 0 ? 0 : svg.drawn.words[distances.indexOf(least)].position;
}

/** A drag under way: a rubber band from the head to the pointer. */
function startDrag(svg, head, event) {
  const from = svg.drawn.words.find(({ position }) => position === head).x;
  const foot = 2;
  const band = s("path", { class: "band", fill: "none" });
  svg.append(band);
  const follow = (move) => {
    const [x, y] = pointIn(svg, move);
    band.setAttribute("d", `M${from} ${foot}Q${(from + x) / 2} ${Math.min(y, 0) - 40} ${x} ${Math.min(y, foot)}`);
  };
  const stop = () => {
    band.remove();
    svg.removeEventListener("pointermove", follow);
    svg.removeEventListener("pointerup", drop);
    svg.removeEventListener("pointercancel", stop);
  };
  const drop = (up) => {
    stop();
    const modifier = wordAt(svg, pointIn(svg, up)[0]);
    if (modifier !== 0 && modifier !== head) tell(svg, "force", head, modifier);
  };
  svg.setPointerCapture(event.pointerId);
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerup", drop);
  svg.addEventListener("pointercancel", stop);
}

/** Listens on `container` for all its diagrams; each gesture becomes a bubbling `constrain` event. */
export function attachConstraints(container) {
  container.addEventListener("pointerdown", (event) => {
    const word = event.target.closest?.("svg.diagram [data-word]");
    if (!word || event.button !== 0) return;
    event.preventDefault();
    startDrag(word.closest("svg"), Number(word.dataset.word), event);
  });
  container.addEventListener("click", (event) => {
    const svg = event.target.closest?.("svg.diagram");
    if (!svg || event.target.closest("[data-word]")) return;
    const arc = arcAt(svg.drawn, ...pointIn(svg, event));
    if (arc) tell(svg, "forbid", arc.head, arc.modifier);
  });
  container.addEventListener("keydown", (event) => {
    const bundle = event.target.closest?.(".bundle");
    const arc = bundle && activeArc(bundle);
    if (!arc || event.ctrlKey || event.metaKey || event.altKey) return;
    const op = FORBID_KEYS.includes(event.key) ? "forbid" : event.key.toLowerCase() === "f" ? "force" : null;
    if (!op) return;
    event.preventDefault();
    tell(bundle, op, arc.head, arc.modifier);
  });
}
