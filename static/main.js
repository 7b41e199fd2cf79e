/** The page: holds the state, asks the service, leads from page to page. */

import { compare, listModels, requestFor, ServiceError } from "./api.js";
import { renderForm } from "./form.js";
import { draft, keepApiKey, keepDraft, remember } from "./history.js";
import { makeResult } from "./result.js";
import { fromFragment, toFragment } from "./state.js";
import { say, sayBusy, sayError, sayKeyWanted, sayText } from "./status.js";
import { attachTheme } from "./theme-button.js";

const $ = (id) => document.getElementById(id);
const SPINNER_AFTER = 300; // ms
const LOADING_AGAIN = 1000; // ms between two looks at a service that is still loading its models

let state = fromFragment(location.hash);
let models = [];
let result = null;
let running = null; // AbortController of the request under way
let free = { key: "", answer: null }; // the last answer without constraints: what a constrained one is held against
let bench = null; // the promise of the code that draws results

const loadBench = () => (bench ??= import("./bench.js"));
/** Tasks of one sentence first: they are the easier beginning. */
const tasks = () => [...new Map(models.map(({ task, takes }) => [task, { task, takes }])).values()]
  .sort((a, b) => (a.takes === "pair") - (b.takes === "pair"));
const ofTask = () => models.filter(({ task }) => task === state.task);
const takes = () => tasks().find(({ task }) => task === state.task)?.takes ?? "sentence";
const fields = () => (takes() === "pair" ? [state.premise, state.hypothesis] : [state.text]);
const complete = () => fields().every((text) => text.trim());

/** Writes the state into the address; the way back from another page leads to it. */
function address(push = false) {
  history[push ? "pushState" : "replaceState"](null, "", toFragment(state));
  linkBack();
}

const linkBack = () => document.querySelector('nav [data-page="compare"]').setAttribute("href", toFragment(state));

/** Changes the state and draws what follows from it; `again` asks the service anew, `push` makes a step in history. */
function set(change, { again = false, push = false, keepControls = false } = {}) {
  state = { ...state, ...change };
  address(push);
  if (again && complete()) ask();
  else drawResult(keepControls);
}

const constrain = (constraints) => set({ constraints }, { again: true, push: true });

const freeKey = () => JSON.stringify(requestFor({ ...state, constraints: [] }, ofTask()));

/** Null where there are no constraints; asked for only where it is not known yet. */
async function answerWithoutConstraints(signal) {
  if (state.constraints.length === 0) return null;
  const key = freeKey();
  if (free.key !== key) free = { key, answer: await compare(JSON.parse(key), signal) };
  return free.answer;
}

async function ask() {
  running?.abort();
  const mine = (running = new AbortController());
  const spinner = setTimeout(() => sayBusy("Growing trees …"), SPINNER_AFTER);
  $("answer").setAttribute("aria-busy", "true");
  try {
    const request = requestFor(state, ofTask());
    const [answer, before] = await Promise.all(
      [compare(request, mine.signal), answerWithoutConstraints(mine.signal), loadBench().then(({ ready }) => ready)]);
    if (mine.signal.aborted) return;
    say();
    if (!before) free = { key: freeKey(), answer };
    result = Object.assign(makeResult(answer, state, before), { input: request.inputs[0] });
    remember(state);
    await drawResult();
  } catch (error) {
    if (mine.signal.aborted) return;
    if (!(error instanceof ServiceError)) throw error;
    refuse(error);
  } finally {
    clearTimeout(spinner);
    if (running === mine) $("answer").removeAttribute("aria-busy");
  }
}

/** Says what went wrong; a result of another sentence goes, one of the same sentence stays. */
function refuse(error) {
  const ways = error.retry ? [["Try again", ask]] : [];
  if (state.constraints.length > 0) ways.push(["Undo the last constraint", () => constrain(state.constraints.slice(0, -1))]);
  if (error.code === "unauthorized") askForKey(error, ask);
  else sayError(error, ways);
  if (result && JSON.stringify(result.input) !== JSON.stringify(requestFor(state, ofTask()).inputs[0])) {
    result = null;
    drawResult();
  }
}

function askForKey(error, again) {
  sayKeyWanted(error, (key) => {
    keepApiKey(key);
    again();
  });
}

async function drawResult(keepControls = false) {
  $("answer").hidden = result === null;
  if (result === null) return;
  const { drawBench } = await loadBench();
  drawBench({ result, state, models: ofTask(), takes: takes(), set, constrain }, { keepControls });
}

function forgetResult() {
  running?.abort();
  result = null;
  say();
  drawResult();
}

/** From the form: a new input forgets constraints, which name positions of the old one. */
function askFor(input) {
  const { task, text = "", premise = "", hypothesis = "" } = input;
  const asked = { task, text, premise, hypothesis };
  keepDraft(asked);
  const same = Object.keys(asked).every((key) => asked[key] === state[key]);
  state = { ...state, ...asked, constraints: same ? state.constraints : [] };
  address(true);
  drawForm();
  if (!complete()) {
    sayText(takes() === "pair" ? "Both sentences need at least one word." : "Type at least one word first.");
    return;
  }
  document.documentElement.dataset.asked = "";
  ask();
}

function changeTask(task, typed) {
  state = { ...state, ...typed, task, models: [], reference: "", constraints: [], a: "", b: "" };
  address(true);
  drawForm();
  forgetResult();
  $("ask").querySelector("input[name=task]:checked")?.focus();
}

function drawForm() {
  renderForm($("ask"), { tasks: tasks(), state, ask: askFor, changeTask });
}

/** The pages beside the main one; their code comes when they are opened. */
const PAGES = {
  overview: async (box) => (await import("./pages/overview.js")).renderOverview(box, models),
  model: async (box) => (await import("./pages/model.js")).renderModel(box, models.find(({ id }) => id === state.id), state.id),
};

/** Shows the page that the state names; true if it is not the main one. */
async function showPage() {
  const other = PAGES[state.page];
  $("compare-page").hidden = Boolean(other);
  $("other-page").hidden = !other;
  for (const link of document.querySelectorAll("nav [data-page]")) {
    const here = link.dataset.page === (other ? "overview" : "compare");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (other) await other($("other-page"));
  return Boolean(other);
}

const aTask = (task) => (tasks().some((each) => each.task === task) ? task : tasks()[0].task);

/** The address has changed under the page: back, forward, or a link. */
async function route() {
  state = fromFragment(location.hash);
  state.task = aTask(state.task);
  if (await showPage()) return;
  linkBack();
  drawForm();
  if (complete()) {
    document.documentElement.dataset.asked = "";
    ask();
    return;
  }
  delete document.documentElement.dataset.asked;
  forgetResult();
}

async function start() {
  const { models: served, refused } = await listModels();
  models = served;
  const notServed = refused.map(({ id, detail }) => `${id} (${detail})`).join("; ");
  if (models.length === 0) throw new ServiceError(`The service runs but serves no model. ${notServed || "Its log says why."}`);
  state.task = aTask(state.task);
  const linked = complete();
  if (!linked) state = { ...state, ...draft(), task: state.task };
  if (notServed) sayText(`Not served: ${notServed}`);
  else say();
  addEventListener("popstate", route);
  if (await showPage()) return;
  drawForm();
  if (linked) await ask();
}

async function boot() {
  try {
    await start();
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    if (error.code === "loading") {
      sayBusy("The models are being loaded …");
      setTimeout(boot, LOADING_AGAIN);
    } else if (error.code === "unauthorized") askForKey(error, boot);
    else sayError(error, [["Try again", boot]]);
  }
}

/** The pictures of the explanation come when it is opened. */
async function openExplanation() {
  const { explain } = await import("./explain.js");
  const boxes = Object.fromEntries(["map", "marginals", "sparsemap"].map((name) => [name, $(`explain-${name}`)]));
  await explain(boxes, $("explain-control"));
}

$("explain").addEventListener("toggle", openExplanation, { once: true });
attachTheme($("theme"), $("theme-name"));
$("ask").addEventListener("focusin", loadBench, { once: true });
boot();
