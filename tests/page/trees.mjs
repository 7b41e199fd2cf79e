/** Random trees and a random number generator with a seed, shared by the unit tests. */

/** Mulberry32: small, seeded, good enough to draw test cases. */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Heads of a random projective tree over words first..last: a root word, then each side cut into subtrees. */
export function projectiveTree(count, random) {
  const heads = new Array(count).fill(0);
  const fill = (first, last, head) => {
    if (first > last) return;
    const cut = first + Math.floor(random() ** 1.5 * (last - first + 1)); // often a few, sometimes many siblings
    const root = first + Math.floor(random() * (cut - first + 1));
    heads[root - 1] = head;
    fill(first, root - 1, root);
    fill(root + 1, cut, root);
    fill(cut + 1, last, head);
  };
  const top = 1 + Math.floor(random() * count);
  heads[top - 1] = 0;
  fill(1, top - 1, top);
  fill(top + 1, count, top);
  return heads;
}

/** True if no arc crosses another and every word hangs from the root in the end: the definition, word by word. */
export function isProjectiveTree(heads) {
  for (let word = 1; word <= heads.length; word += 1) {
    const chain = new Set();
    for (let at = word; at !== 0; at = heads[at - 1]) {
      if (chain.has(at)) return false;
      chain.add(at);
    }
  }
  const arcs = heads.map((head, index) => [Math.min(head, index + 1), Math.max(head, index + 1)]);
  return !arcs.some(([a, b]) => arcs.some(([c, d]) => a < c && c < b && b < d));
}
