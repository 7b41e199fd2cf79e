/**
 * MAP, marginals and SparseMAP of a handful of words by listing every tree: for the explanation, where the reader
 * turns the scores up and down. Real sentences are the service's work.
 */

/** Every projective tree of `count` words with one root, as heads; 1, 2, 7, 30 trees for 1 to 4 words. */
export function allTrees(count) {
  const found = [];
  const grow = (heads) => {
    if (heads.length === count) {
      if (isTree(heads)) found.push(heads);
      return;
    }
    for (let head = 0; head <= count; head += 1) if (head !== heads.length + 1) grow([...heads, head]);
  };
  grow([]);
  return found;
}

function isTree(heads) {
  if (heads.filter((head) => head === 0).length !== 1) return false;
  const reaches = (word, steps) => word === 0 || (steps > 0 && reaches(heads[word - 1], steps - 1));
  if (!heads.every((_, index) => reaches(index + 1, heads.length))) return false;
  const arcs = heads.map((head, index) => [Math.min(head, index + 1), Math.max(head, index + 1)]);
  return !arcs.some(([a, b]) => arcs.some(([c, d]) => a < c && c < b && b < d));
}

const scoreOf = (heads, scores) => heads.reduce((sum, head, index) => sum + scores[head][index + 1], 0);

/** The tree with the highest score. */
export const best = (trees, scores) => trees.reduce((top, tree) => (scoreOf(tree, scores) > scoreOf(top, scores) ? tree : top));

/** Every tree with its probability, p(tree) ∝ exp(score); the marginals are the union of them all. */
export function gibbs(trees, scores) {
  const raw = trees.map((tree) => scoreOf(tree, scores));
  const most = Math.max(...raw);
  const weights = raw.map((score) => Math.exp(score - most));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return trees.map((heads, index) => ({ heads, weight: weights[index] / total }));
}

const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);

/** Solves a linear system by elimination with pivots. */
function solve(matrix, right) {
  const rows = matrix.map((row, index) => [...row, right[index]]);
  for (let column = 0; column < rows.length; column += 1) {
    const pivot = rows.slice(column).reduce((top, row, k) => (Math.abs(row[column]) > Math.abs(rows[top][column]) ? column + k : top), column);
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    for (let row = 0; row < rows.length; row += 1) {
      if (row === column) continue;
      const factor = rows[row][column] / rows[column][column];
      rows[row] = rows[row].map((value, k) => value - factor * rows[column][k]);
    }
  }
  return rows.map((row, index) => row[rows.length] / row[index]);
}

/** Weights that sum to one, of any sign, for the point of the points' affine hull nearest to the origin. */
function affineMinimum(points) {
  const gram = points.map((a) => [...points.map((b) => dot(a, b)), 1]);
  return solve([...gram, [...points.map(() => 1), 0]], [...points.map(() => 0), 1]).slice(0, -1);
}

/**
 * argmin over mixtures of trees of ‖μ − s‖², by Wolfe's minimum-norm-point algorithm: add the tree that helps most,
 * go to the best mixture of the trees at hand, drop those whose weight would turn negative.
 *
 * @returns {{heads: number[], weight: number}[]} heaviest first
 */
export function sparsemap(trees, scores) {
  const points = trees.map((heads) => scores.flatMap((row, head) =>
    row.slice(1).map((score, index) => (heads[index] === head ? 1 : 0) - (head === index + 1 ? 0 : score))));
  let active = [points.reduce((top, point, index) => (dot(point, point) < dot(points[top], points[top]) ? index : top), 0)];
  let weights = [1];
  for (;;) {
    const at = points[0].map((_, k) => active.reduce((sum, index, j) => sum + weights[j] * points[index][k], 0));
    const next = points.reduce((top, point, index) => (dot(at, point) < dot(at, points[top]) ? index : top), 0);
    if (active.includes(next) || dot(at, at) <= dot(at, points[next]) + 1e-10) break;
    [active, weights] = settle([...active, next], [...weights, 0], points);
  }
  return active.map((index, k) => ({ heads: trees[index], weight: weights[k] })).sort((a, b) => b.weight - a.weight);
}

function settle(active, weights, points) {
  for (;;) {
    const goal = affineMinimum(active.map((index) => points[index]));
    if (goal.every((weight) => weight > 1e-12)) return [active, goal];
    const step = Math.min(...goal.map((weight, k) => (weight <= 1e-12 ? weights[k] / (weights[k] - weight) : 1)));
    const moved = weights.map((weight, k) => weight + step * (goal[k] - weight));
    const kept = moved.map((weight) => weight > 1e-12);
    [active, weights] = [active.filter((_, k) => kept[k]), moved.filter((_, k) => kept[k])];
  }
}
