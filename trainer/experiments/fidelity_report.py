"""The fidelity experiment's tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from trainer.experiments.figures import COLOURS, panels, save

DRAWN = (
    "marginals",
    "ste-identity",
    "ste-marginals",
    "spigot",
    "perturb-and-map",
    "straight-through",
    "reinmax",
    "gumbel-rao",
    "score-function",
    "score-function, self-critical",
    "imle, central",
    "aimle, forward",
    "aimle, central",
)
"""The methods whose curves are drawn; the table has all."""


def report(data: dict[str, Any], results: Path) -> None:
    """Write `fidelity.md` and the figures."""
    config, rows = data["config"], data["rows"]
    groups = list(dict.fromkeys(key.split("/")[0] for key in rows))
    (results / "fidelity.md").write_text("\n".join(table(rows, group) for group in groups))
    for kind, samples in (("categorical", config["samples"]), ("trees", config["tree_samples"])):
        chosen = [group for group in groups if group.startswith(kind)]
        if chosen:
            cosines(rows, chosen, samples, results / f"fidelity-{kind}.svg")
    if sizes := [group for group in groups if group.startswith("categorical")]:
        finite_differences(rows, sizes, config["samples"], results / "fidelity-lambda.svg")


def table(rows: dict[str, Any], group: str) -> str:
    """Markdown: cosine of one sample and of the most, bias, variance and sparsity."""
    lines = [
        f"### {group}\n",
        "| | cosine, 1 sample | cosine, most samples | relative bias | relative variance | zeros |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for key, row in rows.items():
        prefix, name = key.split("/", 1)
        if prefix != group or "λ=" in name:
            continue
        cosine, error = row["cosine"]["mean"], row["cosine"]["standard_error"]
        lines.append(
            f"| {name} | {cosine[0]:.3f} ± {error[0]:.3f} | {cosine[-1]:.3f} ± {error[-1]:.3f} |"
            f" {row['bias']['mean']:.3g} | {row['variance']['mean']:.3g} | {row['zeros']['mean']:.2f} |"
        )
    return "\n".join([*lines, ""])


def cosines(rows: dict[str, Any], groups: list[str], samples: list[int], path: Path) -> None:
    """Cosine similarity against the number of samples (AIMLE's Figure 3)."""
    figure, axes = panels(len(groups), width=3.4, rows=1 if len(groups) < 3 else 2)
    for axis, group in zip(axes, groups, strict=False):
        for i, name in enumerate(DRAWN):
            if row := rows.get(f"{group}/{name}"):
                style = {"color": COLOURS[i % 10], "linestyle": "-" if i < 10 else "--", "linewidth": 1.2}
                axis.plot(samples, row["cosine"]["mean"], label=name, **style)
        axis.set(xscale="log", xlabel="samples", ylabel="cosine to the exact gradient", title=group)
    handles = {
        label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(handles.values()), list(handles), loc="outside right center")
    save(figure, path)


def finite_differences(rows: dict[str, Any], groups: list[str], samples: list[int], path: Path) -> None:
    """Cosine and sparsity of I-MLE against λ, with AIMLE's for comparison (AIMLE's Figures 1 and 4)."""
    figure, axes = panels(2 * len(groups), width=3.4, rows=len(groups))
    thousand = samples.index(1_000) if 1_000 in samples else len(samples) - 1
    for g, group in enumerate(groups):
        cosine, zeros = axes[2 * g], axes[2 * g + 1]
        for kind, colour in zip(("forward", "central"), COLOURS, strict=False):
            found = {
                float(key.split("λ=")[1]): row
                for key, row in rows.items()
                if key.startswith(f"{group}/imle, {kind}, λ=")
            }
            steps = sorted(found)
            cosine.plot(steps, [found[s]["cosine"]["mean"][thousand] for s in steps], "o-", color=colour,
                        label=f"imle, {kind}", markersize=3)  # fmt: skip
            zeros.plot(steps, [found[s]["zeros"]["mean"] for s in steps], "o-", color=colour, markersize=3)
            _level(cosine, rows.get(f"{group}/aimle, {kind}"), thousand, colour, f"aimle, {kind}")
        cosine.set(
            xlabel="λ", ylabel="cosine to the exact gradient", title=f"{group}, {samples[thousand]} samples"
        )
        zeros.set(xlabel="λ", ylabel="zeros in one sample's gradient", title=group)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    save(figure, path)


def _level(axis: Axes, row: dict[str, Any] | None, index: int, colour: Any, label: str) -> None:
    """A horizontal line: AIMLE chooses its λ itself."""
    if row is not None:
        axis.axhline(row["cosine"]["mean"][index], color=colour, linestyle="--", linewidth=1, label=label)
