/** Making elements. Strings only ever become text nodes, and styles go through the CSSOM, so a strict CSP holds. */

const SVG = "http://www.w3.org/2000/svg";

const SETTERS = {
  on: (element, listeners) => {
    for (const type in listeners) element.addEventListener(type, listeners[type]);
  },
  style: (element, rules) => {
    for (const name in rules) element.style.setProperty(name, rules[name]);
  },
  data: (element, values) => Object.assign(element.dataset, values),
  value: (element, value) => {
    element.value = value;
  },
};

const absent = (value) => value === null || value === undefined || value === false;

function fill(element, attributes, children) {
  for (const name in attributes) {
    const value = attributes[name];
    if (absent(value)) continue;
    if (name in SETTERS) SETTERS[name](element, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  addAll(element, children);
  return element;
}

function addAll(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) addAll(element, child);
    else if (!absent(child)) element.append(child);
  }
}

/** An HTML element: `h("p", {class: "note"}, "text", h("b", {}, "bold"))`. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element, in the same way. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** An icon: one path on a 16 × 16 grid, drawn in the colour of the text. */
export const icon = (path) =>
  s("svg", { class: "icon", viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    s("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round",
      "stroke-linejoin": "round" }));

/** A probability in words: "62 %", "<1 %", "100 %" only for what rounds to it from above 99.95 %. */
export function percent(value) {
  if (value > 0 && value < 0.01) return "<1 %";
  if (value < 1 && value >= 0.995) return value >= 0.9995 ? "100 %" : `${(value * 100).toFixed(1)} %`;
  return `${Math.round(value * 100)} %`;
}

/** "1 tree", "3 trees". */
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
