/** What this browser keeps: what was looked at before, what is being typed, a key. A browser that keeps nothing loses nothing else. */

const KEY = "understory.history";
const DRAFT = "understory.draft";
const API_KEY = "understory.key";
const MOST = 20;

function read(storage, key, fallback) {
  try {
    return JSON.parse(storage().getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function write(storage, key, value) {
  try {
    storage().setItem(key, JSON.stringify(value));
  } catch {
    /* private mode or full: the page works without */
  }
}

const local = () => window.localStorage;
const session = () => window.sessionStorage;
const same = (a, b) => ["task", "text", "premise", "hypothesis"].every((key) => a[key] === b[key]);

/** Earlier inputs, newest first. */
export const earlier = () => read(local, KEY, []);

/** Puts an input on top; the same one is not kept twice. */
export function remember({ task, text, premise, hypothesis }) {
  const entry = { task, text, premise, hypothesis };
  write(local, KEY, [entry, ...earlier().filter((each) => !same(each, entry))].slice(0, MOST));
}

export const forgetAll = () => write(local, KEY, []);

/** What is typed but not sent yet survives a reload. */
export const keepDraft = (draft) => write(session, DRAFT, draft);
export const draft = () => read(session, DRAFT, {});

/** The key of a service that asks for one, for as long as this tab is open. */
export const apiKey = () => read(session, API_KEY, "");
export const keepApiKey = (key) => write(session, API_KEY, key);
