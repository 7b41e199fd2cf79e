/** Breaks a laid-out sentence into rows, as text is: the same drawing, seen through one window after another. */

const SLACK = 6; // px of arc that is seen beyond a row's first and last word

const leftOf = (word) => word.left;
const rightOf = (word) => word.left + word.box;

/** Groups of consecutive words, each no wider than `width` unless one word alone is. */
function rowsOfWords(words, width) {
  const rows = [];
  let row = [];
  for (const word of words) {
    const grown = [...row, word];
    const span = Math.max(...grown.map(rightOf)) - Math.min(...grown.map(leftOf)) + 2 * SLACK;
    if (row.length > 0 && span > width) {
      rows.push(row);
      row = [word];
    } else row = grown;
  }
  return [...rows, row];
}

const ends = (arc) => (arc.head === 0 ? [arc.xModifier, arc.xModifier] : [Math.min(arc.xHead, arc.xModifier), Math.max(arc.xHead, arc.xModifier)]);

function windowOn(drawn, words) {
  const from = Math.min(...words.map(leftOf)) - SLACK;
  const to = Math.max(...words.map(rightOf)) + SLACK;
  const arcs = drawn.arcs.filter((arc) => ends(arc)[0] < to && ends(arc)[1] > from);
  const highest = (side) => Math.max(0, ...arcs.filter((arc) => arc.side === side).map((arc) => arc.height));
  return { ...drawn, from, width: to - from, words, arcs, above: highest("above"), below: highest("below") };
}

/**
 * The rows of a layout: sub-layouts in the same coordinates, each with its window `from … from + width`, its words,
 * and every arc that passes through it. A layout that fits is its own only row.
 */
export function wrap(drawn, width) {
  if (drawn.width <= width) return [drawn];
  return rowsOfWords(drawn.words, width).map((words) => windowOn(drawn, words));
}
