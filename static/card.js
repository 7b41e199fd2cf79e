/** The head of a model's card: its name, what it reads, and its answer. */

import { bar, movement, verdict } from "./answer.js";
import { h } from "./dom.js";
import { NAMES } from "./names.js";

export function cardHead(model, { reference }) {
  return h("header", { class: "card-head" },
    h("div", {},
      h("h3", { id: `model-${model.id}` }, h("a", { href: `#page=model&id=${encodeURIComponent(model.id)}` }, model.estimator),
        reference === model.id && h("span", { class: "pin" }, "reference")),
      h("p", { class: "quiet" }, model.id, model.forward_structure && ` · reads ${NAMES[model.forward_structure]}`)),
    h("div", { class: "card-answer" }, verdict(model), bar(model.scores), movement(model, model.before)));
}
