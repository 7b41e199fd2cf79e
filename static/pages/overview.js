/** All models: a table that sorts, and accuracy against depth and against time. */

import { h } from "../dom.js";
import { NAMES } from "../names.js";
import { scatter } from "./chart.js";
import { accuracy, depth, flat, seconds, size, stepTime } from "./facts.js";

const share = (value) => `${(value * 100).toFixed(1)} %`;
const fixed = (digits) => (value) => value.toFixed(digits);

const COLUMNS = [
  { title: "Model", of: ({ id }) => id, show: String },
  { title: "Task", of: ({ task }) => task, show: String },
  { title: "Reads", of: ({ forward_structure: structure }) => NAMES[structure] ?? "no tree", show: String },
  { title: "Test accuracy", of: accuracy, show: share },
  { title: "Mean depth", of: depth, show: fixed(1), note: "of the MAP trees" },
  { title: "Flat trees", of: flat, show: share, note: "every word hangs on the root or on the root's one child" },
  { title: "Time per step", of: (model) => (stepTime(model) === null ? null : stepTime(model) * 1000), show: (value) => `${value.toFixed(1)} ms` },
  { title: "Time per epoch", of: seconds, show: (value) => `${value.toFixed(0)} s` },
  { title: "Parameters", of: size, show: (value) => value.toLocaleString("en") },
];

const order = { column: 3, down: true };

function compare(a, b) {
  const { of } = COLUMNS[order.column];
  const [x, y] = [of(a), of(b)];
  if (x === null || y === null) return (x === null) - (y === null); // what is not known comes last, either way
  const sign = order.down ? -1 : 1;
  return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
}

function table(models, redraw) {
  const used = COLUMNS.map((column, index) => ({ ...column, index })).filter(({ of }) => models.some((model) => of(model) !== null));
  const sort = (index) => {
    order.down = order.column === index ? !order.down : typeof COLUMNS[index].of(models[0]) !== "string";
    order.column = index;
    redraw(index);
  };
  const cell = (model, { of, show, index }) => {
    const value = of(model);
    const text = value === null ? "–" : show(value);
    return index === 0
      ? h("th", { scope: "row" }, h("a", { href: `#page=model&id=${encodeURIComponent(model.id)}` }, text))
      : h("td", { class: typeof value === "number" ? "number" : null }, text);
  };
  return h("table", { class: "overview" },
    h("thead", {}, h("tr", {}, used.map(({ title, note, index }) =>
      h("th", { scope: "col", "aria-sort": order.column === index ? (order.down ? "descending" : "ascending") : null },
        h("button", { type: "button", class: "sort", title: note, data: { column: index }, on: { click: () => sort(index) } }, title,
          h("span", { class: "sort-sign", "aria-hidden": "true" }, order.column === index ? (order.down ? "↓" : "↑") : "")))))),
    h("tbody", {}, [...models].sort(compare).map((model) => h("tr", {}, used.map((column) => cell(model, column))))));
}

function chart(models, of, title, format) {
  const about = `${models[0].task}: test accuracy against ${title}`;
  const points = models.filter((model) => accuracy(model) !== null && of(model) !== null)
    .map((model) => ({ name: model.estimator, x: of(model), y: accuracy(model) }));
  if (points.length < 2) return null;
  return h("figure", { class: "card" }, h("figcaption", {}, about),
    scatter(points, { x: title }, { x: format, y: share }, `${about}; the table holds the numbers.`));
}

/** Fills `container` with the overview of `models`. */
export function renderOverview(container, models) {
  const box = h("div", { class: "scroller table-box", tabindex: 0, role: "region", "aria-label": "All models" });
  const redraw = (focus) => {
    box.replaceChildren(table(models, redraw));
    if (focus !== undefined) box.querySelector(`[data-column="${focus}"]`).focus();
  };
  redraw();
  const tasks = [...new Set(models.map(({ task }) => task))];
  container.replaceChildren(h("h1", {}, "Models"),
    h("p", { class: "lede" }, "The same classifier, trained with one gradient estimator each. Accuracy is on the test set, under the structure that the classifier saw in training."),
    box, ...tasks.map((task) => {
      const own = models.filter((model) => model.task === task);
      const time = own.some((model) => stepTime(model) !== null);
      const charts = [
        chart(own, depth, "mean depth of the MAP trees", fixed(1)),
        time ? chart(own, (model) => stepTime(model) && stepTime(model) * 1000, "time per training step, ms", fixed(0))
          : chart(own, seconds, "time per epoch, s", fixed(0)),
      ].filter(Boolean);
      return charts.length > 0 ? h("section", { class: "charts", "aria-label": task }, charts) : "";
    }));
}
