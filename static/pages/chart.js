/** Two small charts in SVG: points with their names, and a line. Ticks are round numbers. */

import { s } from "../dom.js";

const [WIDTH, HEIGHT] = [460, 300];
const BOX = { left: 58, right: 20, top: 14, bottom: 42 };

/** About `count` round numbers from `low` to `high`. */
export function ticks(low, high, count = 5) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const first = Math.ceil(low / step - 1e-9) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, k) => Number((first + k * step).toPrecision(6)));
}

function scale(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low || Math.abs(high) || 1) * 0.12;
  const [start, end] = [low - pad, high + pad];
  return Object.assign((value) => from + ((value - start) / (end - start)) * (to - from), { ticks: ticks(start, end) });
}

function axes(x, y, labels, format) {
  const text = (attributes, value) => s("text", { class: "chart-text", ...attributes }, value);
  const floor = HEIGHT - BOX.bottom;
  return [
    ...y.ticks.flatMap((value) => [s("path", { class: "chart-grid", d: `M${BOX.left} ${y(value)}H${WIDTH - BOX.right}` }),
      text({ x: BOX.left - 8, y: y(value) + 4, "text-anchor": "end" }, format.y(value))]),
    ...x.ticks.map((value) => text({ x: x(value), y: floor + 18, "text-anchor": "middle" }, format.x(value))),
    text({ x: (BOX.left + WIDTH - BOX.right) / 2, y: HEIGHT - 4, "text-anchor": "middle", class: "chart-text title" }, labels.x),
    s("path", { class: "chart-axis", d: `M${BOX.left} ${floor}H${WIDTH - BOX.right}` }),
  ];
}

const frame = (label, children) => s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, children);
const scales = (points) => [scale(points.map(({ x }) => x), BOX.left, WIDTH - BOX.right), scale(points.map(({ y }) => y), HEIGHT - BOX.bottom, BOX.top)];

/** Where names go: beside their point, moved down while they would lie on one another. */
function placeNames(points, x, y) {
  const taken = [];
  return [...points].sort((a, b) => y(a.y) - y(b.y)).map((point) => {
    const width = point.name.length * 7;
    const right = x(point.x) + 10 + width < WIDTH;
    const left = right ? x(point.x) + 9 : x(point.x) - 9 - width;
    let top = y(point.y) + 4;
    while (taken.some((box) => Math.abs(box.top - top) < 14 && left < box.left + box.width && box.left < left + width)) top += 14;
    taken.push({ left, width, top });
    return { point, x: right ? left : left + width, y: top, anchor: right ? "start" : "end" };
  });
}

/** Points {name, x, y}. */
export function scatter(points, labels, format, label) {
  const [x, y] = scales(points);
  return frame(label, [axes(x, y, labels, format),
    points.map((point) => s("circle", { class: "chart-dot", cx: x(point.x), cy: y(point.y), r: 5 })),
    placeNames(points, x, y).map((name) => s("text", { class: "chart-name", x: name.x, y: name.y, "text-anchor": name.anchor }, name.point.name))]);
}

const MOST_TICKS = 12; // of a line whose every point has its own

/** A line through points {x, y} at whole numbers of x; the one at `kept` is ringed. */
export function line(points, labels, format, label, kept) {
  const [x, y] = scales(points);
  x.ticks = points.length > MOST_TICKS ? x.ticks.filter(Number.isInteger) : points.map((point) => point.x);
  const path = points.map((point, index) => `${index ? "L" : "M"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("");
  return frame(label, [axes(x, y, labels, format), s("path", { class: "chart-line", d: path }),
    points.map((point) => s("circle", { class: "chart-dot", cx: x(point.x), cy: y(point.y), r: 3.5 })),
    points.filter((point) => point.x === kept).map((point) => s("circle", { class: "chart-ring", cx: x(point.x), cy: y(point.y), r: 8 }))]);
}
