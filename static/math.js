/** Formulas: LaTeX to MathML, by a library that is fetched only when the first formula is shown. */

import { h } from "./dom.js";

let loading = null;

function load() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(h("script", { src: "static/vendor/temml/temml.min.js", on: { load: () => resolve(globalThis.temml), error: reject } }));
  });
  return loading;
}

/** An element that shows the LaTeX source until the formula is set; a long one scrolls in it, by the keyboard too. */
export function formula(latex) {
  const element = h("span", { class: "formula", role: "group", "aria-label": "Formula", tabindex: 0 }, h("code", {}, latex));
  load().then((temml) => temml.render(latex, element, { displayMode: true, throwOnError: true }))
    .catch(() => element.replaceChildren(h("code", {}, latex)));
  return element;
}
