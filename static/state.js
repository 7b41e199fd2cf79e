/** The state of the page and its form in the URL's fragment: what a link must hold to show the same picture. */

export const STRUCTURES = ["map", "marginals", "sparsemap"];

export const START = Object.freeze({
  page: "compare", // or "overview", or "model" with `id`
  id: "",
  task: "",
  text: "",
  premise: "",
  hypothesis: "",
  models: [], // ids; none means all of the task
  show: STRUCTURES,
  view: "trees",
  threshold: 0.05,
  sort: "estimator",
  reference: "",
  a: "", // the two sides of the difference view, "model/structure"
  b: "",
  fit: "scroll", // or "fit", "wrap"
  constraints: [], // {op, head, modifier, side?}
});

const SIGNS = { forbid: "-", force: "+" };
const OPS = { "-": "forbid", "+": "force" };
const SIDES = { p: "premise", h: "hypothesis" };

const constraintToText = ({ op, head, modifier, side }) => `${SIGNS[op]}${head}.${modifier}${side ? side[0] : ""}`;

function constraintFromText(text) {
  const match = /^([+-])(\d{1,4})\.([1-9]\d{0,3})([ph]?)$/.exec(text);
  if (!match) return null;
  const [, sign, head, modifier, side] = match;
  return { op: OPS[sign], head: Number(head), modifier: Number(modifier), ...(side ? { side: SIDES[side] } : {}) };
}

const CODECS = {
  models: [(list) => list.join(","), (text) => text.split(",").filter(Boolean)],
  show: [(list) => list.join(",") || "none", (text) => STRUCTURES.filter((name) => text.split(",").includes(name))],
  threshold: [String, (text) => {
    const value = Number(text);
    return text.trim() !== "" && value >= 0 && value <= 1 ? value : START.threshold;
  }],
  constraints: [
    (list) => list.map(constraintToText).join(","),
    (text) => text.split(",").map(constraintFromText).filter((each) => each !== null),
  ],
};
const PLAIN = [String, String];

/** The state as a fragment, without what is as at the start: "#text=A%20film&view=matrix". */
export function toFragment(state) {
  const parts = new URLSearchParams();
  for (const key of Object.keys(START)) {
    const [write] = CODECS[key] ?? PLAIN;
    const text = write(state[key]);
    if (text !== write(START[key])) parts.set(key, text);
  }
  return `#${parts}`;
}

/** The state that a fragment holds; unknown keys are ignored, bad values become those of the start. */
export function fromFragment(fragment) {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const state = { ...START };
  for (const key of Object.keys(START)) {
    if (parts.has(key)) state[key] = (CODECS[key] ?? PLAIN)[1](parts.get(key));
  }
  return state;
}
