"""The alignment of two lines of words as ribbons, in Python: the rules and numbers of `static/ribbons.js`.

Every word has the same room, and its row of weights, which sums to one, divides it; so a ribbon is as wide at
each end as the share that this word takes of the other. A test holds the two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT, ROOM = 104.0, 16.0

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Ribbon:
    """A ribbon between two words, counted from 0: its shares of their rows, and SVG path data."""

    upper: int
    lower: int
    down: float
    up: float
    path: str

    @property
    def weight(self) -> float:
        """The share in its heavier direction."""
        return max(self.down, self.up)


def _starts(places: Sequence[float], others: Sequence[float], rows: Rows) -> list[list[float]]:
    """Where each part of each word's row begins: parts lie in the order of the other line's words."""
    order = sorted(range(len(others)), key=lambda k: others[k])
    begins = []
    for place, row in zip(places, rows, strict=True):
        x, begin = place - ROOM / 2, [0.0] * len(others)
        for k in order:
            begin[k] = x
            x += ROOM * row[k]
        begins.append(begin)
    return begins


def _path(top: float, top_width: float, foot: float, foot_width: float) -> str:
    a, b, c, d = (f"{x:.2f}" for x in (top, top + top_width, foot, foot + foot_width))
    high, low = f"{HEIGHT * 0.42:.2f}", f"{HEIGHT * 0.58:.2f}"
    return f"M{a} 0C{a} {low} {c} {high} {c} {HEIGHT:.0f}H{d}C{d} {high} {b} {low} {b} 0Z"


def ribbons(
    upper: Sequence[float], lower: Sequence[float], down: Rows, up: Rows, least: float
) -> list[Ribbon]:
    """Place the ribbons that weigh at least `least` in one direction, lightest first; O(words²).

    `upper` and `lower` are the words' x, px; `down[i][j]` is what upper word i takes of lower word j, and
    `up[j][i]` what j takes of i.
    """
    tops, feet = _starts(upper, lower, down), _starts(lower, upper, up)
    every = (
        Ribbon(i, j, share, up[j][i], _path(tops[i][j], ROOM * share, feet[j][i], ROOM * up[j][i]))
        for i, row in enumerate(down)
        for j, share in enumerate(row)
    )
    return sorted((each for each in every if each.weight >= least), key=lambda each: each.weight)
