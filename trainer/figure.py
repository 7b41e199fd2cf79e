"""The figure of a table: test accuracy by estimator, ours and the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure


def accuracy_figure(table: dict[str, Any], path: Path) -> None:
    """Draw test accuracies with their standard deviations, one line an estimator, as SVG."""
    names = list(table["rows"])[::-1]
    figure = Figure(figsize=(6.4, 0.36 * len(names) + 1.1), layout="constrained")
    axes = figure.subplots()
    ours = [table["rows"][name]["test"] for name in names]
    axes.errorbar(
        [100 * centre for centre, _ in ours],
        range(len(names)),
        xerr=[100 * (width or 0.0) for _, width in ours],
        fmt="o",
        capsize=3,
        label="here",
    )
    places = [place for place, name in enumerate(names) if name in table["published"]]
    if places:
        theirs = [table["published"][names[place]]["test"] for place in places]
        axes.errorbar(
            [centre for centre, _ in theirs],
            [place + 0.25 for place in places],
            xerr=[width for _, width in theirs],
            fmt="s",
            capsize=3,
            color="grey",
            label="paper (other data, see the table)",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("test accuracy, %")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    with mpl.rc_context({"svg.hashsalt": "understory"}):
        figure.savefig(path, metadata={"Date": None})
