/** The bar above the results: which view, which structures, which models, which order. */

import { h } from "./dom.js";
import { NAMES } from "./names.js";
import { SORTS } from "./result.js";
import { STRUCTURES } from "./state.js";
import { viewsOf } from "./views/index.js";

function viewTabs(takes, state, set) {
  const views = viewsOf(takes);
  const shown = state.view in views ? state.view : "trees";
  return h("fieldset", { class: "segments" }, h("legend", { class: "sr-only" }, "View"),
    Object.entries(views).map(([name, { title }]) => h("label", {},
      h("input", { type: "radio", name: "view", value: name, checked: shown === name, on: { change: () => set({ view: name }) } }),
      h("span", {}, title))));
}

function structureToggles(state, set) {
  const toggle = (name, on) => set({ show: STRUCTURES.filter((each) => (each === name ? on : state.show.includes(each))) });
  return h("fieldset", { class: "toggles" }, h("legend", { class: "sr-only" }, "Structures"),
    STRUCTURES.map((name) => h("label", { class: `toggle ${name}` },
      h("input", { type: "checkbox", value: name, checked: state.show.includes(name),
        on: { change: (event) => toggle(name, event.target.checked) } }),
      h("span", { class: "swatch", "aria-hidden": "true" }), h("span", {}, NAMES[name]))));
}

function threshold(state, set) {
  const shown = h("output", { for: "threshold" }, `${Math.round(state.threshold * 100)} %`);
  return h("span", { class: "slider" }, h("label", { for: "threshold" }, "Arcs of at least "), shown,
    h("input", { type: "range", id: "threshold", min: 0.01, max: 0.99, step: 0.01, value: state.threshold,
      on: { input: (event) => {
        shown.value = `${Math.round(event.target.value * 100)} %`;
        set({ threshold: Number(event.target.value) }, { keepControls: true });
      } } }));
}

function select(label, id, value, options, change) {
  return h("label", { class: "select" }, h("span", {}, label),
    h("select", { id, on: { change: (event) => change(event.target.value) } },
      options.map(([key, text]) => h("option", { value: key, selected: key === value }, text))));
}

function modelMenu(models, state, set) {
  const chosen = (id) => state.models.length === 0 || state.models.includes(id);
  const toggle = (id, on) => {
    const ids = models.map((model) => model.id).filter((each) => (each === id ? on : chosen(each)));
    set({ models: ids.length === models.length ? [] : ids }, { again: true });
  };
  const count = models.filter(({ id }) => chosen(id)).length;
  return h("details", { class: "menu", id: "model-menu", name: "bar" },
    h("summary", {}, `Models ${count}/${models.length}`),
    h("fieldset", { class: "checks" }, h("legend", { class: "sr-only" }, "Models"),
      models.map(({ id }) => h("label", {},
        h("input", { type: "checkbox", value: id, checked: chosen(id), disabled: count === 1 && chosen(id),
          on: { change: (event) => toggle(id, event.target.checked) } }), " ", id))));
}

/** Fills the bar. `set(change, how)` updates the state; `models` are those of the task, which takes a sentence or a pair. */
export function renderControls(bar, { state, models, takes, set, takeAway }) {
  const open = bar.querySelector("#model-menu")?.open ?? false;
  const focused = bar.contains(document.activeElement) ? document.activeElement : null;
  const mark = focused && { name: focused.name, value: focused.value, id: focused.id };
  bar.replaceChildren(
    h("div", { class: "control-row" }, viewTabs(takes, state, set), h("span", { class: "spring" }), modelMenu(models, state, set),
      select("Sort", "sort", state.sort, Object.entries(SORTS).map(([key, { title }]) => [key, title]), (sort) => set({ sort })),
      select("Reference", "reference", state.reference, [["", "none"], ...models.map(({ id }) => [id, id])], (reference) => set({ reference }))),
    h("div", { class: "control-row fine" }, structureToggles(state, set), threshold(state, set),
      select("Long lines", "fit", state.fit, [["scroll", "scroll"], ["wrap", "wrap"], ["fit", "shrink"]], (fit) => set({ fit })),
      h("span", { class: "spring" }),
      takeAway && h("button", { type: "button", class: "ghost", id: "take-away", on: { click: takeAway } }, "Take it away")));
  bar.querySelector("#model-menu").open = open;
  if (mark) refocus(bar, mark);
}

/** Filling the bar anew must not throw the keyboard out of it. */
function refocus(bar, { name, value, id }) {
  const same = id ? bar.querySelector(`#${CSS.escape(id)}`)
    : [...bar.querySelectorAll("input, select, button")].find((each) => each.name === name && each.value === value);
  same?.focus();
}
