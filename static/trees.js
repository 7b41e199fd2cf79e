/** Pure functions on trees and arcs: no DOM, no state. Heads are 1-based; 0 is the root. */

/** The arcs of a tree given as heads: `heads[m − 1]` is the head of word m. */
export const arcsOf = (heads, weight = 1) =>
  heads.map((head, index) => ({ head, modifier: index + 1, weight }));

/** The key of an arc, for sets and maps. */
export const keyOf = ({ head, modifier }) => `${head}>${modifier}`;

/** The union of a weighted set of trees: each arc with the weight of the trees that hold it. */
export function unionOf(trees) {
  const union = new Map();
  for (const { heads, weight } of trees) {
    for (const arc of arcsOf(heads, weight)) {
      const seen = union.get(keyOf(arc));
      if (seen) seen.weight += weight;
      else union.set(keyOf(arc), arc);
    }
  }
  return [...union.values()];
}

/** Splits two lists of arcs into those that both hold and those of one alone. */
export function difference(a, b) {
  const [inA, inB] = [new Set(a.map(keyOf)), new Set(b.map(keyOf))];
  return {
    shared: a.filter((arc) => inB.has(keyOf(arc))),
    onlyA: a.filter((arc) => !inB.has(keyOf(arc))),
    onlyB: b.filter((arc) => !inA.has(keyOf(arc))),
  };
}

/** Share of words with the same head in both trees (unlabelled attachment). */
export const attachment = (a, b) => a.filter((head, index) => head === b[index]).length / a.length;

/** The mean over words of Σ_h p(h) q(h), for marginals given as arcs {head, modifier, weight}. */
export function expectedAgreement(p, q, words) {
  const weights = new Map(q.map((arc) => [keyOf(arc), arc.weight]));
  return p.reduce((sum, arc) => sum + arc.weight * (weights.get(keyOf(arc)) ?? 0), 0) / words;
}

/** Each word's head is the word before it; the first hangs from the root. */
export const rightBranching = (words) => Array.from({ length: words }, (_, index) => index);

/** Each word's head is the word after it; the last hangs from the root. */
export const leftBranching = (words) =>
  Array.from({ length: words }, (_, index) => (index + 1 === words ? 0 : index + 2));

/** The number of arcs from the root to the deepest word. */
export function depthOf(heads) {
  const depth = (word) => (word === 0 ? 0 : 1 + depth(heads[word - 1]));
  return Math.max(0, ...heads.map((_, index) => depth(index + 1)));
}

/** The arcs of one structure of an answered sentence, {head, modifier, weight}; [] where there is no tree. */
export function arcsUnder(sentence, structure) {
  const trees = sentence.trees;
  if (!trees) return [];
  if (structure === "map") return trees.map ? arcsOf(trees.map.heads) : [];
  if (structure === "sparsemap") return unionOf(trees.sparsemap ?? []);
  return (trees.marginals ?? []).map(({ head, modifier, probability }) => ({ head, modifier, weight: probability }));
}
