"""Figures as SVG files that do not change unless their numbers do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE: Any = {
    "svg.hashsalt": "understory",
    "svg.fonttype": "none",
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}

COLOURS = [*colormaps["tab10"].colors, "#000000", *colormaps["Dark2"].colors]  # type: ignore[attr-defined]


def panels(
    count: int, *, width: float = 4.2, height: float = 3.4, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels side by side, in one row or more."""
    columns = -(-count // rows)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns + 1.5, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def save(figure: Figure, path: Path) -> None:
    """Write the figure, without the date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None})
