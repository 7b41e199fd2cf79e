"""The arc layout of the page in Python: the same rules and numbers, for pictures where no script runs.

`static/layout.js` says why each rule is there; a test holds the two against each other. Arcs above the words
rise from y = 0 upwards (negative y), arcs below hang from `TEXT_HEIGHT`. Cost: O(m²) in the arcs of a side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

GAP, TEXT_HEIGHT, MARGIN = 13.0, 30.0, 10.0
BASE, STEP, MAX_HEIGHT, ROOT_RISE = 24.0, 17.0, 230.0, 16.0
END_GAP, END_ROOM = 6.5, 2.5


@dataclass
class DrawnArc:
    """An arc head → modifier (positions from 1, head 0 is the root) and, once laid out, where it goes."""

    head: int
    modifier: int
    weight: float = 1.0
    side: Literal["above", "below"] = "above"
    room: float = END_ROOM
    x_head: float = field(default=math.nan, init=False)
    x_modifier: float = field(default=math.nan, init=False)
    height: float = field(default=0.0, init=False)
    radius: float = field(default=0.0, init=False)
    step: float = field(default=STEP, init=False)

    @property
    def interval(self) -> tuple[float, float]:
        """The arc's ends from left to right."""
        return min(self.x_head, self.x_modifier), max(self.x_head, self.x_modifier)

    @property
    def path(self) -> str:
        """SVG path data, from the head to the modifier."""
        below = self.side == "below"
        up, foot = (1, TEXT_HEIGHT) if below else (-1, 0.0)
        top = foot + up * self.height
        if self.head == 0:
            return f"M{self.x_modifier:.2f} {top:.2f}V{foot:.2f}"
        sign = 1 if self.x_modifier > self.x_head else -1
        corner = f"A{self.radius:.2f} {self.height:.2f} 0 0 {int(sign * up < 0)}"
        return (
            f"M{self.x_head:.2f} {foot:.2f}{corner} {self.x_head + sign * self.radius:.2f} {top:.2f}"
            f"H{self.x_modifier - sign * self.radius:.2f}{corner} {self.x_modifier:.2f} {foot:.2f}"
        )


@dataclass(frozen=True)
class Picture:
    """A sentence laid out: the words' middles, the arcs, the heights of both sides, the width."""

    words: list[float]
    arcs: list[DrawnArc]
    above: float
    below: float
    width: float


def _ends_on(arcs: Sequence[DrawnArc], word: int) -> list[DrawnArc]:
    """The arcs that touch a word: short left … long left, root, long right … short right."""

    def rank(arc: DrawnArc) -> float:
        return abs(arc.head - arc.modifier) + (0.5 if arc.head > arc.modifier else 0.0)

    def other(arc: DrawnArc) -> int:
        return arc.modifier if arc.head == word else arc.head

    touching = [arc for arc in arcs if word in (arc.head, arc.modifier)]
    curved = [arc for arc in touching if arc.head != 0]
    return [
        *sorted((arc for arc in curved if other(arc) < word), key=rank),
        *(arc for arc in touching if arc.head == 0),
        *sorted((arc for arc in curved if other(arc) > word), key=rank, reverse=True),
    ]


def _gaps(ends: Sequence[DrawnArc]) -> list[float]:
    return [(a.room + b.room) / 2 for a, b in pairwise(ends)]


def _place(widths: Sequence[float], sides: Sequence[Sequence[DrawnArc]]) -> tuple[list[float], float]:
    """Place words and ends; return the words' middles and the width of all."""
    left, middles = MARGIN, []
    for word, width in enumerate(widths, start=1):
        ends = [_ends_on(side, word) for side in sides]
        box = max(width, *(sum(_gaps(each)) + 4 for each in ends))
        middles.append(left + box / 2)
        for each in ends:
            _spread(each, word, left + box / 2, box)
        left += box + GAP
    return middles, left - GAP + MARGIN


def _spread(ends: Sequence[DrawnArc], word: int, middle: float, box: float) -> None:
    gaps = _gaps(ends)
    least = sum(gaps)
    wide = max(least, min(END_GAP * len(gaps), box - 4))
    x = middle - wide / 2
    for arc, gap in zip(ends, [0.0, *gaps], strict=False):
        x += gap * (wide / least) if gap else 0.0
        if arc.modifier == word:
            arc.x_modifier = x
        else:
            arc.x_head = x


def _nest(arcs: Sequence[DrawnArc]) -> tuple[list[int], list[list[int]], list[int]]:
    """Levels by nesting, what lies inside each arc, and the order from the shortest arc on."""
    spans = [arc.interval for arc in arcs]
    order = sorted(range(len(arcs)), key=lambda k: spans[k][1] - spans[k][0])
    level = [0] * len(arcs)
    inside: list[list[int]] = [[] for _ in arcs]
    for done, outer in enumerate(order):
        left, right = spans[outer]
        taken = set()
        for inner in order[:done]:
            a, b = spans[inner]
            if b <= left or a >= right:
                continue
            if a >= left and b <= right:
                inside[outer].append(inner)
            else:
                taken.add(level[inner])
        level[outer] = 1 + max((level[inner] for inner in inside[outer]), default=0)
        while level[outer] in taken:
            level[outer] += 1
    return level, inside, order


def _shape(arcs: Sequence[DrawnArc]) -> float:
    """Give the arcs of one side heights and corners; return the height of the side."""
    curved = [arc for arc in arcs if arc.head != 0]
    level, inside, order = _nest(curved)
    step = min(STEP, (MAX_HEIGHT - BASE) / max(1, max(level, default=1) - 1))
    for arc, own in zip(curved, level, strict=True):
        arc.height, arc.step = BASE + (own - 1) * step, step
    for k in order:
        arc = curved[k]
        inner = [curved[j].radius * (arc.height / curved[j].height) ** 2 for j in inside[k]]
        left, right = arc.interval
        arc.radius = min((right - left) / 2, arc.height * 1.15, *inner)
    highest = max((arc.height for arc in curved), default=BASE - ROOT_RISE / 2)
    stems = [arc for arc in arcs if arc.head == 0]
    for arc in stems:
        arc.height, arc.step = highest + ROOT_RISE, step
    return max((arc.height for arc in arcs), default=0.0)


def layout(widths: Sequence[float], arcs: Sequence[DrawnArc], *, right_to_left: bool = False) -> Picture:
    """Lay out one sentence; the arcs are filled in and come back in their order."""
    sides = [[arc for arc in arcs if arc.side == side] for side in ("above", "below")]
    words, width = _place(widths, sides)
    if right_to_left:
        words = [width - x for x in words]
        for arc in arcs:
            arc.x_head, arc.x_modifier = width - arc.x_head, width - arc.x_modifier
    above, below = (_shape(side) for side in sides)
    return Picture(words, list(arcs), above, below, width)
