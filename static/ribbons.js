/**
 * The alignment of two lines of words as ribbons: a pure function of places and weights.
 *
 * Every word has the same room, and its row of weights, which sums to one, divides it. So a ribbon is as wide at each
 * end as the share that this word takes of the other: both directions of the attention in one picture.
 */

export const HEIGHT = 104; // px between the two lines
export const ROOM = 16; // px that a word's row is spread over

const round = (value) => Math.round(value * 100) / 100;

/** Where each part of each word's row begins, px: parts lie in the order of the other line's words, so they do not cross. */
function starts(places, others, rows) {
  const order = others.map((_, k) => k).sort((a, b) => others[a] - others[b]);
  return rows.map((row, index) => {
    let x = places[index] - ROOM / 2;
    const begin = [];
    for (const k of order) {
      begin[k] = x;
      x += ROOM * row[k];
    }
    return begin;
  });
}

/**
 * The ribbons whose weight is at least `least` in one direction, lightest first.
 *
 * @param {number[]} upper x of the words of the upper line, px
 * @param {number[]} lower x of the words of the lower line, px
 * @param {{down: number[][], up: number[][]}} rows `down[i][j]`: what upper word i takes of lower word j; `up[j][i]`
 * @returns {{from: number, to: number, down: number, up: number, weight: number, path: string}[]} indices from 0
 */
export function ribbons(upper, lower, { down, up }, least) {
  const [tops, feet] = [starts(upper, lower, down), starts(lower, upper, up)];
  const found = [];
  down.forEach((row, from) => row.forEach((share, to) => {
    const back = up[to][from];
    const weight = Math.max(share, back);
    if (weight < least) return;
    const [a, b] = [tops[from][to], tops[from][to] + ROOM * share].map(round);
    const [c, d] = [feet[to][from], feet[to][from] + ROOM * back].map(round);
    const [high, low] = [HEIGHT * 0.42, HEIGHT * 0.58];
    found.push({ from, to, down: share, up: back, weight,
      path: `M${a} 0C${a} ${low} ${c} ${high} ${c} ${HEIGHT}H${d}C${d} ${high} ${b} ${low} ${b} 0Z` });
  }));
  return found.sort((x, y) => x.weight - y.weight);
}
