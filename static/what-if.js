/** What if: arcs that every tree must have or may not have, as a list that can be undone, and a form to add one. */

import { h, icon } from "./dom.js";

const CROSS = "M4 4l8 8M12 4l-8 8";

/** The constraints with one more: the newest on a word's arc wins over what it contradicts. */
export function withConstraint(constraints, { op, head, modifier, side }) {
  const sameWord = (each) => each.modifier === modifier && each.side === side;
  const clashes = (each) => sameWord(each) && (each.head === head || (op === "force" && each.op === "force"));
  return [...constraints.filter((each) => !clashes(each)), { op, head, modifier, ...(side ? { side } : {}) }];
}

const nameOf = (position, tokens) => (position === 0 ? "root" : tokens[position - 1] ?? `word ${position}`);

function chip(constraint, tokens, remove) {
  const { op, head, modifier, side } = constraint;
  const text = `${nameOf(head, tokens)} → ${nameOf(modifier, tokens)}`;
  const verb = op === "forbid" ? "no" : "must";
  return h("li", { class: `chip ${op}` }, h("span", { class: "chip-op" }, verb), h("span", { dir: "auto" }, text), side && h("span", { class: "quiet" }, side),
    h("button", { type: "button", class: "chip-x", "aria-label": `Remove: ${verb} ${text}`, on: { click: remove } }, icon(CROSS)));
}

const positions = (tokens, withRoot) =>
  [...(withRoot ? [[0, "root"]] : []), ...tokens.map((token, index) => [index + 1, `${index + 1} ${token}`])]
    .map(([value, text]) => h("option", { value }, text));

/** The form: the way for the keyboard, for touch, and for arcs that no tree has yet. */
function form(sentences, sides, add) {
  const head = h("select", { name: "head" });
  const modifier = h("select", { name: "modifier" });
  const fill = (index) => {
    head.replaceChildren(...positions(sentences[index].tokens, true));
    modifier.replaceChildren(...positions(sentences[index].tokens, false));
  };
  const side = sides.length > 1 && h("select", { name: "side", on: { change: () => fill(sides.indexOf(side.value)) } },
    sides.map((name) => h("option", { value: name }, name)));
  fill(0);
  const labelled = (text, control) => h("label", { class: "select" }, h("span", {}, text), control);
  const element = h("form", { class: "what-if-form", on: { submit: (event) => {
    event.preventDefault();
    add({ op: element.elements.op.value, head: Number(head.value), modifier: Number(modifier.value), side: side ? side.value : undefined });
  } } },
  labelled("Arc", h("select", { name: "op" }, h("option", { value: "force" }, "must be there"), h("option", { value: "forbid" }, "may not be there"))),
  side && labelled("In", side), labelled("Head", head), labelled("Word", modifier),
  h("button", { type: "submit", class: "ghost small" }, "Add"));
  return element;
}

/** Fills `container`. `change(constraints)` is called with the new list. */
export function renderWhatIf(container, { constraints, sentences, sides, change }) {
  const tokensOf = (side) => sentences[Math.max(0, sides.indexOf(side))]?.tokens ?? [];
  const open = container.querySelector("details")?.open ?? false;
  const held = container.contains(document.activeElement);
  const list = constraints.length > 0 && h("div", { class: "chips-row" },
    h("ul", { class: "chips", "aria-label": "Constraints" }, constraints.map((each) =>
      chip(each, tokensOf(each.side), () => change(constraints.filter((other) => other !== each))))),
    h("button", { type: "button", class: "ghost small", on: { click: () => change(constraints.slice(0, -1)) } }, "Undo"),
    h("button", { type: "button", class: "ghost small", on: { click: () => change([]) } }, "Clear"));
  const details = sentences.length > 0 && h("details", { class: "what-if", open }, h("summary", {}, "What if …"),
    h("p", { class: "quiet" }, "Click an arc to forbid it, or drag from a head to a word to force one. On the keyboard: Tab to a diagram, arrow keys to an arc, Delete forbids it, F forces it."),
    form(sentences, sides, (constraint) => change(withConstraint(constraints, constraint))));
  container.replaceChildren(details || "", list || "");
  if (held) container.querySelector("details[open] button, summary, button")?.focus();
}
