import assert from "node:assert/strict";
import test from "node:test";
import { execFileSync } from "node:child_process";
import { make as conllu } from "../../static/export/conllu.js";
import { make as curl, quote } from "../../static/export/curl.js";
import { escapeTex, make as tikz } from "../../static/export/tikz.js";

const sentence = {
  tokens: ["A", "50%_film", "&", "{$}", "\\^~#"],
  trees: {
    map: { heads: [2, 0, 2, 5, 2] },
    marginals: [[1, 2, 0.75], [1, 3, 0.25], [2, 0, 1], [3, 2, 1], [4, 5, 0.6], [4, 0, 0.4], [5, 2, 1]]
      .map(([modifier, head, probability]) => ({ modifier, head, probability })),
    sparsemap: [{ weight: 0.7, heads: [2, 0, 2, 5, 2] }, { weight: 0.3, heads: [3, 0, 2, 5, 2] }],
  },
};
const choice = { sentence, name: "m", threshold: 0.05, model: { id: "m", revision: "r", label: "positive" } };

/** The grammar of the environment that we write, line by line; returns what a reader would see. */
function parseTikz(text) {
  const match = /^%[^\n]*\n\\begin\{dependency\}(?:\[[^\]]*\])?\n\s*\\begin\{deptext\}(?:\[[^\]]*\])?\n\s*(.*) \\\\\n\s*\\end\{deptext\}\n([^]*)\\end\{dependency\}\n$/.exec(text);
  assert.ok(match, text);
  const unescape = (word) => word.replaceAll("\\textbackslash{}", "\0").replaceAll("\\textasciitilde{}", "~")
    .replaceAll("\\textasciicircum{}", "^").replace(/\\([&%$#_{}])/g, "$1").replaceAll("\0", "\\");
  const edges = match[2].trimEnd().split("\n").map((line) => {
    const edge = /^\s*\\dep(?:root(?:\[(.*)\])?\{(\d+)\}|edge(?:\[(.*)\])?\{(\d+)\}\{(\d+)\})\{([^{}]*)\}$/.exec(line);
    assert.ok(edge, line);
    return edge[2] ? { head: 0, modifier: Number(edge[2]), label: edge[6] } : { head: Number(edge[4]), modifier: Number(edge[5]), label: edge[6] };
  });
  return { tokens: match[1].split(" \\& ").map(unescape), edges };
}

test("TikZ keeps the tokens and the tree", () => {
  const { tokens, edges } = parseTikz(tikz({ ...choice, structure: "map" }));
  assert.deepEqual(tokens, sentence.tokens);
  assert.deepEqual(edges.sort((a, b) => a.modifier - b.modifier).map(({ head }) => head), sentence.trees.map.heads);
});

test("TikZ labels weighted arcs with their percentage", () => {
  const { edges } = parseTikz(tikz({ ...choice, structure: "marginals" }));
  assert.equal(edges.length, sentence.trees.marginals.length);
  assert.equal(edges.find(({ head, modifier }) => head === 3 && modifier === 1).label, "25");
});

test("every special sign of LaTeX is escaped", () => {
  assert.equal(escapeTex("a&b%c$d#e_f{g}h"), "a\\&b\\%c\\$d\\#e\\_f\\{g\\}h");
});

test("CoNLL-U has ten columns and the trees of the support with their weights", () => {
  const blocks = conllu(choice).trimEnd().split("\n\n").map((block) => block.split("\n"));
  assert.equal(blocks.length, 3);
  const rows = blocks.map((block) => block.filter((line) => !line.startsWith("#")).map((line) => line.split("\t")));
  rows.flat().forEach((row) => assert.equal(row.length, 10));
  assert.deepEqual(rows.map((block) => block.map((row) => Number(row[6]))),
    [sentence.trees.map.heads, ...sentence.trees.sparsemap.map(({ heads }) => heads)]);
  assert.equal(rows[0][0][9], "Prob=0.75|Heads=2:0.75,3:0.25");
  assert.ok(blocks[2].includes("# weight = 0.3"));
});

test("the shell reads the curl command back as it was meant", () => {
  const request = { inputs: ["it's \"50 %\" $HOME `x` \\ !"] };
  const command = curl({ request, base: "http://127.0.0.1:8000/" });
  const words = execFileSync("sh", ["-c", `curl() { for word; do printf '%s\\0' "$word"; done; }; ${command}`]).toString().split("\0");
  assert.equal(words[1], "http://127.0.0.1:8000/v1/compare");
  assert.deepEqual(JSON.parse(words[words.indexOf("-d") + 1]), request);
  assert.equal(quote("a'b"), "'a'\\''b'");
});
