/**
 * The arc layout: where words and arcs go. A pure function of widths and arcs; it knows no DOM and no colours.
 *
 * Words stand on two lines: arcs of side "above" rise from y = 0 upwards (negative y), arcs of side "below" hang
 * from y = `textHeight` downwards. An arc is a flat top with two quarter-ellipse corners, so it meets its words
 * vertically. Three rules keep arcs of one side apart whenever the tree is projective:
 *
 * 1. On a word, ends are spread so that the longer arc stands nearer to the middle; then "covers more words"
 *    and "contains as an interval of x" are the same thing.
 * 2. An arc is one step higher than the highest arc inside it (`levels`).
 * 3. With corner g(t) = 1 − √(1 − t²), an outer arc (height H, corner R) stays clear of an inner one (h, r) at every
 *    height if R/H² ≤ r/h², because g(λt) ≤ λ²g(t). `corners` shrinks R until that holds.
 */

export const DEFAULTS = Object.freeze({
  gap: 13, // px between two words
  textHeight: 30, // px between the foot of the arcs above and of those below
  base: 24, // px, height of an arc of level 1
  step: 17, // px from one level to the next
  maxHeight: 230, // px: deep nests are pressed into this
  endGap: 6.5, // px between two ends on one word, where there is room
  endRoom: 2.5, // px that an end takes at least, unless its arc says so itself
  rootRise: 16, // px that a root stem stands above the highest arc
  margin: 10, // px left and right
});

/** Which way an arc leaves word `at`: −1 to the left, 0 to the root, 1 to the right. */
const direction = (arc, at) => (arc.head === 0 ? 0 : Math.sign((arc.head === at ? arc.modifier : arc.head) - at));

const FAR = 1e6; // more than any sentence has words

/** Where an end belongs on word `at`, left to right: short left … long left, root, long right … short right. */
function orderOn(arc, at) {
  // Ties are arcs i → j and j → i: one order for both words nests one in the other.
  const rank = Math.abs(arc.head - arc.modifier) + (arc.head > arc.modifier ? 0.5 : 0);
  return direction(arc, at) * (FAR - rank);
}

/** The ends on each word, left to right, by position 0..n (0, the root, stays empty: stems need no room there). */
function byWord(arcs, count) {
  const touching = Array.from({ length: count + 1 }, () => []);
  for (const arc of arcs) {
    touching[arc.modifier].push(arc);
    if (arc.head !== 0) touching[arc.head].push(arc);
  }
  return touching.map((here, at) => here.sort((a, b) => orderOn(a, at) - orderOn(b, at)));
}

const roomOf = (arc, options) => arc.room ?? options.endRoom;

/** The least distances between neighbouring ends of a word, left to right. */
function leastGaps(ends, options) {
  return ends.slice(1).map((arc, k) => (roomOf(arc, options) + roomOf(ends[k], options)) / 2);
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Boxes of the words, left to right; a box is as wide as its text or its ends, whichever needs more. */
function placeWords(widths, ends, options) {
  let left = options.margin;
  return widths.map((width, index) => {
    const crowd = Math.max(...ends.map((side) => sum(leastGaps(side[index + 1], options))));
    const box = Math.max(width, crowd + 4);
    const word = { position: index + 1, left, box, width, x: left + box / 2 };
    left += box + options.gap;
    return word;
  });
}

/** Gives each arc of one side its two x-coordinates. */
function spreadEnds(ends, words, options) {
  for (const word of words) {
    const here = ends[word.position];
    const gaps = leastGaps(here, options);
    const least = sum(gaps);
    const wide = Math.max(least, Math.min(options.endGap * gaps.length, word.box - 4));
    let x = word.x - wide / 2;
    here.forEach((arc, k) => {
      if (k > 0) x += gaps[k - 1] * (wide / least);
      if (arc.modifier === word.position) arc.xModifier = x;
      else arc.xHead = x;
    });
  }
}

/**
 * Levels by interval nesting: shorter arcs first, each one above the highest inside it. Arcs that cross (never in
 * one projective tree) may not share a level, or their flat tops would lie on one another.
 */
export function levels(intervals) {
  const order = intervals.map((_, index) => index).sort((a, b) => width(intervals[a]) - width(intervals[b]));
  const level = new Array(intervals.length).fill(0);
  const inside = intervals.map(() => []);
  for (let k = 0; k < order.length; k += 1) {
    const outer = order[k];
    const left = intervals[outer][0];
    const right = intervals[outer][1];
    const taken = []; // levels of the arcs that cross this one
    let floor = 0;
    for (let j = 0; j < k; j += 1) {
      const inner = order[j];
      const l = intervals[inner][0];
      const r = intervals[inner][1];
      if (r <= left || l >= right) continue;
      if (l >= left && r <= right) {
        floor = Math.max(floor, level[inner]);
        inside[outer].push(inner);
      } else taken.push(level[inner]);
    }
    level[outer] = floor + 1;
    while (taken.includes(level[outer])) level[outer] += 1;
  }
  return { level, inside, order };
}

const width = (interval) => interval[1] - interval[0];

/** Corner radii, inner arcs first, by rule 3 above. */
function corners(intervals, heights, { inside, order }) {
  const radius = new Array(intervals.length).fill(0);
  for (const outer of order) {
    const own = Math.min(width(intervals[outer]) / 2, heights[outer] * 1.15);
    radius[outer] = inside[outer].reduce(
      (least, inner) => Math.min(least, radius[inner] * (heights[outer] / heights[inner]) ** 2), own);
  }
  return radius;
}

/** Heights and corners of the arcs of one side; root stems all end at one height. */
function shapeSide(arcs, options) {
  const curved = arcs.filter((arc) => arc.head !== 0);
  const intervals = curved.map((arc) => [Math.min(arc.xHead, arc.xModifier), Math.max(arc.xHead, arc.xModifier)]);
  const nesting = levels(intervals);
  const deepest = Math.max(1, ...nesting.level);
  const step = Math.min(options.step, (options.maxHeight - options.base) / Math.max(1, deepest - 1));
  const heights = nesting.level.map((level) => options.base + (level - 1) * step);
  const radii = corners(intervals, heights, nesting);
  curved.forEach((arc, index) => {
    arc.level = nesting.level[index];
    arc.height = heights[index];
    arc.radius = radii[index];
    arc.step = step;
  });
  const stem = (curved.length ? Math.max(...heights) : options.base - options.rootRise / 2) + options.rootRise;
  for (const arc of arcs) {
    if (arc.head !== 0) continue;
    arc.height = stem;
    arc.step = step;
  }
  return arcs.length ? (arcs.some((arc) => arc.head === 0) ? stem : Math.max(...heights)) : 0;
}

const round = (value) => Math.round(value * 100) / 100;

/** The path of an arc from head to modifier, as SVG path data. */
function pathOf(arc, options) {
  const up = arc.side === "below" ? 1 : -1;
  const foot = arc.side === "below" ? options.textHeight : 0;
  const top = round(foot + up * arc.height);
  if (arc.head === 0) return `M${round(arc.xModifier)} ${top}V${foot}`;
  const sign = arc.xModifier > arc.xHead ? 1 : -1;
  const [rx, ry] = [round(arc.radius), round(arc.height)];
  const sweep = sign * up < 0 ? 1 : 0;
  const [first, second] = [round(arc.xHead + sign * arc.radius), round(arc.xModifier - sign * arc.radius)];
  return `M${round(arc.xHead)} ${foot}A${rx} ${ry} 0 0 ${sweep} ${first} ${top}` +
    `H${second}A${rx} ${ry} 0 0 ${sweep} ${round(arc.xModifier)} ${foot}`;
}

/** Reading right to left is the same picture in a mirror. */
function mirror(words, arcs, total) {
  for (const word of words) {
    word.x = total - word.x;
    word.left = total - word.left - word.box;
  }
  for (const arc of arcs) {
    arc.xModifier = total - arc.xModifier;
    if (arc.head !== 0) arc.xHead = total - arc.xHead;
  }
}

/**
 * Lays out one sentence and its arcs.
 *
 * @param {number[]} widths measured text widths, px, in the order of the words
 * @param {{head: number, modifier: number, side?: "above"|"below", room?: number}[]} arcs positions from 1; head 0 is
 *   the root; `room` is the px that an end of the arc takes on its word
 * @param {Partial<typeof DEFAULTS> & {rtl?: boolean}} settings
 * @returns {{from: number, width: number, above: number, below: number, textHeight: number, words: object[], arcs: object[]}}
 *   the drawing reaches from x = `from` to `from + width`; `above` and `below` are the heights of the two sides; each arc gains `path`, `xHead`, `xModifier`, `height`,
 *   `radius`, `level`, and `step`, the px between two levels of its side. O(m²) in the number of arcs of a side.
 */
export function layout(widths, arcs, settings = {}) {
  const options = { ...DEFAULTS, ...settings };
  const placed = arcs.map((arc) =>
    ({ ...arc, side: arc.side ?? "above", xHead: NaN, xModifier: NaN, level: 0, height: 0, radius: 0, step: 0, path: "" }));
  const sides = ["above", "below"].map((side) => placed.filter((arc) => arc.side === side));
  const ends = sides.map((side) => byWord(side, widths.length));
  const words = placeWords(widths, ends, options);
  const last = words[words.length - 1];
  const total = (last ? last.left + last.box : options.margin) + options.margin;
  for (const side of ends) spreadEnds(side, words, options);
  if (options.rtl) mirror(words, placed, total);
  const [above, below] = sides.map((side) => shapeSide(side, options));
  for (const arc of placed) arc.path = pathOf(arc, options);
  return { from: 0, width: total, above, below, textHeight: options.textHeight, words, arcs: placed };
}

/** The height of an arc above its foot at `x`, or NaN beside it. */
export function heightAt(arc, x) {
  const left = Math.min(arc.xHead, arc.xModifier);
  const right = Math.max(arc.xHead, arc.xModifier);
  if (!(x >= left && x <= right)) return NaN;
  const into = Math.min(x - left, right - x);
  if (into >= arc.radius) return arc.height;
  return arc.height * Math.sqrt(1 - (1 - into / arc.radius) ** 2);
}

/** The arc nearest to a point, if one lies within `reach` px; (x, y) in the layout's own coordinates. */
export function arcAt(drawn, x, y, reach = 7) {
  let best = null;
  let least = reach;
  for (const arc of drawn.arcs) {
    const rise = arc.side === "below" ? y - drawn.textHeight : -y;
    if (rise < -2) continue;
    const distance = distanceTo(arc, x, rise);
    if (distance < least) [best, least] = [arc, distance];
  }
  return best;
}

function distanceTo(arc, x, rise) {
  if (arc.head === 0) return rise > arc.height + 4 ? Infinity : Math.abs(x - arc.xModifier);
  const height = heightAt(arc, x);
  const vertical = Number.isNaN(height) ? Infinity : Math.abs(height - rise);
  if (rise > arc.height) return vertical;
  // How far the curve has come in at this height: the steep corners are easier to hit sideways.
  const into = arc.radius * (1 - Math.sqrt(1 - (Math.max(0, rise) / arc.height) ** 2));
  const left = Math.min(arc.xHead, arc.xModifier) + into;
  const right = Math.max(arc.xHead, arc.xModifier) - into;
  return Math.min(vertical, Math.abs(x - left), Math.abs(x - right));
}
