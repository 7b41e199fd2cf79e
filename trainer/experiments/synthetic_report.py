"""The synthetic experiment's table, beside the paper's, and its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.experiments.figures import COLOURS, panels, save

PAPER: dict[int, dict[str, tuple[float, float, float, float]]] = {
    3: {
        "linear": (68.05, 0.09, 0.00, 0.00),
        "gold": (92.40, 0.06, 100.00, 0.00),
        "softmax": (93.15, 0.33, 66.88, 0.97),
        "sparsemax": (92.95, 0.38, 71.35, 16.60),
        "gumbel-softmax": (94.25, 3.42, 100.00, 6.80),
        "st-gumbel": (93.85, 3.25, 100.00, 6.80),
        "sfe": (68.45, 0.33, 47.73, 17.65),
        "sfe-baseline": (94.20, 0.08, 100.00, 0.00),
        "ste-s": (86.95, 4.01, 84.44, 11.61),
        "ste-i": (92.60, 0.23, 100.00, 0.00),
        "spigot": (77.90, 1.26, 20.53, 1.85),
        "spigot-ce": (93.40, 2.64, 97.08, 13.92),
        "spigot-eg": (92.70, 3.04, 100.00, 8.27),
    },
    10: {
        "linear": (60.00, 0.06, 0.00, 0.00),
        "gold": (88.50, 0.10, 100.00, 0.00),
        "softmax": (86.45, 0.33, 75.07, 1.18),
        "sparsemax": (83.75, 1.32, 76.13, 3.89),
        "gumbel-softmax": (80.45, 0.77, 89.68, 1.10),
        "st-gumbel": (81.25, 0.68, 91.52, 1.46),
        "sfe": (59.80, 0.58, 55.56, 3.30),
        "sfe-baseline": (84.70, 0.97, 96.83, 0.85),
        "ste-s": (75.95, 1.10, 82.83, 2.75),
        "ste-i": (84.50, 1.43, 94.48, 1.35),
        "spigot": (68.80, 1.02, 29.24, 2.24),
        "spigot-ce": (83.50, 0.87, 94.88, 1.39),
        "spigot-eg": (79.40, 2.03, 82.29, 2.15),
    },
}
"""Accuracy and V-measure with their standard errors: Mihaylova et al. 2020, Table 2."""

CURVES = (
    "softmax",
    "sparsemax",
    "sfe-baseline",
    "ste-s",
    "ste-i",
    "spigot",
    "spigot-ce",
    "spigot-eg",
    "reinmax",
)
"""The rows whose learning curves are drawn."""


def report(data: dict[str, Any], results: Path) -> None:
    """Write `synthetic.md` and the figures of learning curves and of the number of inner steps."""
    rows: dict[str, Any] = data["rows"]
    (results / "synthetic.md").write_text(table(rows))
    counts = sorted({int(key.split("/")[0]) for key in rows})
    for count in counts:
        learning_curves(rows, count, results / f"synthetic-curves-{count}.svg")
    if any(" k=" in key for key in rows):
        inner_steps(rows, results / "synthetic-steps.svg")


def table(rows: dict[str, Any]) -> str:
    """Markdown: ours and the paper's, median ± standard error."""
    lines = []
    for count in sorted({int(key.split("/")[0]) for key in rows}):
        lines += [
            f"### {count} clusters\n",
            "| | accuracy | paper | V-measure | paper | chosen on validation | processor seconds |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for key, row in rows.items():
            prefix, name = key.split("/", 1)
            if int(prefix) == count:
                lines.append(f"| {' | '.join(_cells(name, row, PAPER.get(count, {}).get(name)))} |")
        lines.append("")
    return "\n".join(lines)


def _cells(name: str, row: dict[str, Any], paper: tuple[float, float, float, float] | None) -> list[str]:
    ours = [f"{row[k]['median']:.2f} ± {row[k]['standard_error']:.2f}" for k in ("test", "v_measure")]
    theirs = [f"{paper[i]:.2f} ± {paper[i + 1]:.2f}" for i in (0, 2)] if paper else ["", ""]
    return [name, ours[0], theirs[0], ours[1], theirs[1], row["point"], _seconds(row)]


def _seconds(row: dict[str, Any]) -> str:
    """Processor time, which earlier rows do not have."""
    return f"{row['processor_seconds']:.0f}" if "processor_seconds" in row else ""


def learning_curves(rows: dict[str, Any], count: int, path: Path) -> None:
    """Median validation accuracy and V-measure over the steps (the paper's Figure 2)."""
    figure, (accuracy, clusters) = panels(2)
    for name, colour in zip(CURVES, COLOURS, strict=False):
        row = rows.get(f"{count}/{name}")
        if row is None:
            continue
        curve = row["curve"]
        steps = [curve["every"] * (i + 1) for i in range(len(curve["accuracy"]))]
        accuracy.plot(steps, curve["accuracy"], label=name, color=colour, linewidth=1.2)
        clusters.plot(steps, curve["v_measure"], label=name, color=colour, linewidth=1.2)
    accuracy.set(xlabel="step", ylabel="validation accuracy (%)", title=f"{count} clusters")
    clusters.set(xlabel="step", ylabel="validation V-measure (%)", title="clusters found")
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside right center")
    save(figure, path)


def inner_steps(rows: dict[str, Any], path: Path) -> None:
    """Test accuracy and V-measure against the number of inner steps (the paper's Figure 3)."""
    figure, axes = panels(2)
    for colour, (name, by_steps) in zip(COLOURS, families(rows).items(), strict=False):
        found = sorted(by_steps.items())
        for axis, field in zip(axes, ("test", "v_measure"), strict=True):
            axis.errorbar(
                [steps for steps, _ in found],
                [row[field]["median"] for _, row in found],
                [row[field]["standard_error"] for _, row in found],
                label=name,
                color=colour,
                marker="o",
                markersize=3,
                linewidth=1.2,
                capsize=2,
            )
    axes[0].set(xlabel="inner steps k", ylabel="test accuracy (%)")
    axes[1].set(xlabel="inner steps k", ylabel="test V-measure (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    save(figure, path)


def families(rows: dict[str, Any]) -> dict[str, dict[int, Any]]:
    """The rows of each estimator that was tried with several inner steps, by their number.

    Without a row of its own, one step is the estimator's row of the table.
    """
    found: dict[str, dict[int, Any]] = {}
    for key, row in rows.items():
        if " k=" in key:
            plain, steps = key.split(" k=")
            one = {1: rows[plain]} if plain in rows else {}
            found.setdefault(plain.split("/")[1], one)[int(steps)] = row
    return found
