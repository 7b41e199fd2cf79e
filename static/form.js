/** The form: what to ask. It knows the tasks, the examples and the history, and calls `ask` with a complete input. */

import { h, icon } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { draft, earlier, forgetAll, keepDraft } from "./history.js";

const TASK_TITLES = { sst: "Sentiment", snli: "Inference" };
const taskTitle = (task) => TASK_TITLES[task] ?? task.toUpperCase();

const FIELDS = {
  sentence: [["text", "Sentence", "Type a sentence …"]],
  pair: [["premise", "Premise", "What is given …"], ["hypothesis", "Hypothesis", "What may follow from it …"]],
};

/** Fits the height of a text area to its text. */
function fit(area) {
  area.style.setProperty("height", "auto");
  area.style.setProperty("height", `${area.scrollHeight}px`);
}

function textArea([name, label, placeholder], state, submit) {
  const area = h("textarea", {
    id: `field-${name}`, name, rows: 1, placeholder, dir: "auto", spellcheck: "false", autocomplete: "off", value: state[name],
    on: {
      input: () => { fit(area); keepDraft({ ...draft(), [name]: area.value }); },
      keydown: (event) => {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
      },
    },
  });
  return h("div", { class: "field" }, h("label", { for: area.id }, label), area);
}

/** The choice of the task; nothing where there is only one. */
function taskTabs(tasks, state, change) {
  if (tasks.length < 2) return null;
  return h("fieldset", { class: "segments" }, h("legend", { class: "sr-only" }, "Task"),
    tasks.map(({ task }) => h("label", {},
      h("input", { type: "radio", name: "task", value: task, checked: task === state.task, on: { change: () => change(task) } }),
      h("span", {}, taskTitle(task)))));
}

const exampleText = ({ text, premise, hypothesis }) => text ?? `${premise} / ${hypothesis}`;

function examples(takes, choose) {
  return h("details", { class: "menu", name: "pick" },
    h("summary", {}, "Examples"),
    h("ul", { class: "picks" }, EXAMPLES[takes].map((example) =>
      h("li", {}, h("button", { type: "button", class: "pick", on: { click: () => choose(example) } },
        h("span", { class: "pick-text" }, exampleText(example)),
        h("span", { class: "gold" }, `gold: ${example.gold}`))))));
}

/** On the start page a few examples stand in the open. */
const tryThese = (takes, choose) => h("ul", { class: "try-these", "aria-label": "Try one of these" },
  EXAMPLES[takes].slice(0, 3).map((example) => h("li", {},
    h("button", { type: "button", class: "try", on: { click: () => choose(example) } }, exampleText(example)))));

function history(tasks, choose) {
  const list = h("ul", { class: "picks" });
  const refill = () => {
    const entries = earlier().filter(({ task }) => tasks.some((each) => each.task === task));
    list.replaceChildren(...entries.map((entry) =>
      h("li", {}, h("button", { type: "button", class: "pick", on: { click: () => choose(entry) } },
        h("span", { class: "pick-text" }, entry.text || exampleText({ ...entry, text: undefined })), h("span", { class: "gold" }, taskTitle(entry.task))))),
    entries.length > 0
      ? h("li", {}, h("button", { type: "button", class: "ghost small", on: { click: () => { forgetAll(); refill(); } } }, "Forget all"))
      : h("li", { class: "quiet" }, "Nothing yet. What you look at is kept here, in this browser only."));
  };
  return h("details", { class: "menu", name: "pick", on: { toggle: (event) => event.target.open && refill() } },
    h("summary", {}, "History"), list);
}

/**
 * Fills `form`. `tasks` is [{task, takes}]; `ask(input)` is called with {task, text, premise, hypothesis} on submit.
 */
export function renderForm(form, { tasks, state, ask, changeTask }) {
  const takes = tasks.find(({ task }) => task === state.task)?.takes ?? "sentence";
  const submit = () => form.requestSubmit();
  const areas = FIELDS[takes].map((field) => textArea(field, state, submit));
  const read = () => Object.fromEntries(FIELDS[takes].map(([name]) => [name, form.elements[name].value]));
  const choose = (input) => {
    for (const menu of form.querySelectorAll("details[open]")) menu.open = false;
    ask({ task: state.task, ...input });
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    ask({ task: state.task, ...read() });
  };
  form.replaceChildren(
    taskTabs(tasks, state, (task) => changeTask(task, read())) ?? "",
    h("div", { class: "fields" }, areas),
    h("div", { class: "ask-row" },
      h("button", { type: "submit", class: "primary" }, "Show the trees", icon("M3 8h10M9 4l4 4-4 4")),
      examples(takes, choose), history(tasks, choose),
      h("span", { class: "quiet hint" }, h("kbd", {}, "Enter"), " to send")),
    tryThese(takes, choose));
  for (const area of form.querySelectorAll("textarea")) fit(area);
}
