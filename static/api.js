/** The service: fetch, and its errors in words that a person can act on. */

import { apiKey } from "./history.js";

const WAIT = 60_000; // ms; the service itself gives up earlier

/** An error whose message is for the reader; `retry` says whether trying again can help. */
export class ServiceError extends Error {
  constructor(message, { details = [], retry = false, code = "" } = {}) {
    super(message);
    Object.assign(this, { details, retry, code });
  }
}

const WORDS = {
  401: () => "This service asks for a key, and has none from you or another one.",
  413: () => "That is more text than the service takes at once. Your text is still here: shorten it and try again.",
  429: (after) => `The service is busy. Your text is kept; try again ${after ? `in ${after} s` : "in a moment"}.`,
  503: (after) => `The service is starting or stopping. Your text is kept; try again ${after ? `in ${after} s` : "in a moment"}.`,
  504: () => "The service took too long for this one. Try again, or try a shorter sentence or fewer models.",
};

/** Where a JSON pointer points, in the words of the page. */
export function place(pointer) {
  if (pointer.includes("/premise")) return "Premise: ";
  if (pointer.includes("/hypothesis")) return "Hypothesis: ";
  if (pointer.includes("/constraints")) return "Constraint: ";
  return "";
}

/** Turns a problem+json answer into a ServiceError. */
export function problemToError(status, problem, retryAfter) {
  const details = (problem.errors ?? []).map(({ pointer, detail }) => place(pointer ?? "") + detail);
  // What only the service knows, it says itself.
  const own = problem.code === "no_models" ? undefined : WORDS[status]?.(retryAfter);
  const message = own ?? (details.length > 0 ? details.join(" ") : problem.detail ?? problem.title ?? `The service answered ${status}.`);
  const rest = own ? details : [];
  return new ServiceError(message, { details: rest, retry: status >= 500 || status === 429, code: problem.code ?? "" });
}

async function send(path, options, signal) {
  const signals = [AbortSignal.timeout(WAIT), ...(signal ? [signal] : [])];
  let response;
  try {
    const key = apiKey();
    const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    response = await fetch(path, { ...options, headers, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const message = error.name === "TimeoutError"
      ? "The service did not answer in a minute. Your text is kept; try again."
      : "The service cannot be reached. Your text is kept; check that it runs and try again.";
    throw new ServiceError(message, { retry: true });
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw problemToError(response.status, body, response.headers.get("Retry-After"));
  return body;
}

/** Every model that is served (all pages of the list), and those that were refused; throws while models are loading. */
export async function listModels() {
  await send("readyz", {});
  const models = [];
  const refused = [];
  let cursor = null;
  do {
    const page = await send(`v1/models${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`, {});
    models.push(...page.data);
    refused.push(...(page.refused ?? []));
    cursor = page.next_cursor;
  } while (cursor);
  return { models, refused };
}

const MOST_TREES = 64; // of SparseMAP's support: its union is whole only with all of them

/** The body of the request that the state asks for; also what the `curl` export shows. `models` are those of the task. */
export function requestFor(state, models) {
  const pair = models[0]?.takes === "pair";
  return {
    ...(state.models.length > 0 ? { models: state.models } : { task: state.task }),
    inputs: [pair ? { premise: state.premise, hypothesis: state.hypothesis } : state.text],
    parameters: { trees: {
      return: ["map", "marginals", "sparsemap"], max_trees: Math.min(MOST_TREES, ...models.map(({ limits }) => limits.max_trees)),
      min_probability: 0.005, ...(state.constraints.length > 0 ? { constraints: state.constraints } : {}),
    }, ...(pair ? { alignment: true } : {}) },
  };
}

/** POST /v1/compare. */
export const compare = (body, signal) =>
  send("v1/compare", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, signal);
