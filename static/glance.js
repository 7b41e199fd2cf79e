/** All answers at a glance, above many cards: which models agree, and the way to each model's card. */

import { bar, movement, verdict } from "./answer.js";
import { h } from "./dom.js";

const FEW = 3; // as many cards are seen without it

function goTo(id) {
  const heading = document.getElementById(`model-${id}`);
  heading.closest(".card").scrollIntoView();
  heading.querySelector("a").focus({ preventScroll: true });
}

/** A button per model, in the order of the cards; nothing above few of them. */
export function glance(models) {
  if (models.length <= FEW) return null;
  const estimators = models.map(({ estimator }) => estimator);
  const alone = (name) => estimators.indexOf(name) === estimators.lastIndexOf(name);
  return h("nav", { class: "glance", "aria-label": "Answers at a glance" }, h("ol", {}, models.map((model) => h("li", {},
    h("button", { type: "button", title: model.id, on: { click: () => goTo(model.id) } },
      h("span", { class: "glance-name" }, alone(model.estimator) ? model.estimator : model.id),
      verdict(model), bar(model.scores), movement(model, model.before))))));
}
