"""The polynomial experiment's table and figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.experiments.figures import COLOURS, panels, save


def report(data: dict[str, Any], results: Path) -> None:
    """Write `polynomial.md` and the figure."""
    rows, config = data["rows"], data["config"]
    problems = list(dict.fromkeys(key.rsplit("/", 1)[0] for key in rows))
    methods = list(dict.fromkeys(key.rsplit("/", 1)[1] for key in rows))
    (results / "polynomial.md").write_text(table(rows, problems, methods))
    figure, axes = panels(len(problems), width=3.2, height=2.8, rows=2 if len(problems) > 3 else 1)
    for axis, problem in zip(axes, problems, strict=False):
        for method, colour in zip(methods, COLOURS, strict=False):
            if row := rows.get(f"{problem}/{method}"):
                steps = [config["every"] * i for i in range(len(row["gap"]))]
                axis.plot(steps, row["gap"], label=method, color=colour, linewidth=1.2)
        setting, power = problem.split("/")
        axis.set(title=f"setting {setting}, p = {power}", xlabel="step", ylabel="above the optimum")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    save(figure, results / "polynomial.svg")


def table(rows: dict[str, Any], problems: list[str], methods: list[str]) -> str:
    """Markdown: how far each estimator ends above the optimum, as a share of where it began."""
    lines = [
        f"| | {' | '.join('setting {}, p = {}'.format(*problem.split('/')) for problem in problems)} |",
        f"| --- |{' --- |' * len(problems)}",
    ]
    for method in methods:
        cells = []
        for problem in problems:
            row = rows.get(f"{problem}/{method}")
            cells.append(f"{100 * row['gap'][-1] / row['gap'][0]:.1f} %" if row else "")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
