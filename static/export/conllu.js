/** CoNLL-U: the MAP tree in HEAD, the marginals of all heads in MISC, then each tree of SparseMAP's support. */

import { arcsUnder } from "../trees.js";

export const title = "CoNLL-U";
export const extension = "conllu";
export const mime = "text/plain";

const number = (value) => String(Number(value.toFixed(4)));

/** A form has no tab and no line end, and is never empty. */
const form = (token) => token.replace(/[\t\n\r]/g, " ").trim() || "_";

function block(comments, tokens, heads, misc) {
  const rows = tokens.map((token, index) =>
    [index + 1, form(token), "_", "_", "_", "_", heads[index], heads[index] === 0 ? "root" : "dep", "_", misc(index + 1)].join("\t"));
  return [...comments.map(([key, value]) => `# ${key} = ${value}`), ...rows, "", ""].join("\n");
}

/** All sentences and trees of one model. */
export function make({ model, sentence, name }) {
  const { tokens, trees } = sentence;
  const marginals = arcsUnder(sentence, "marginals");
  const heads = trees.map.heads;
  const of = (modifier) => marginals.filter((arc) => arc.modifier === modifier).sort((a, b) => b.weight - a.weight);
  const misc = (modifier) => {
    const own = of(modifier).find(({ head }) => head === heads[modifier - 1]);
    const all = of(modifier).map(({ head, weight }) => `${head}:${number(weight)}`).join(",");
    return [own && `Prob=${number(own.weight)}`, all && `Heads=${all}`].filter(Boolean).join("|") || "_";
  };
  const text = ["text", tokens.map(form).join(" ")];
  const about = [["model", model.id], ["revision", model.revision], ["label", model.label]];
  return block([["sent_id", `${name}/map`], text, ...about], tokens, heads, misc) +
    (trees.sparsemap ?? []).map((tree, index) =>
      block([["sent_id", `${name}/sparsemap-${index + 1}`], text, ["model", model.id], ["weight", number(tree.weight)]], tokens, tree.heads, () => "_")).join("");
}
