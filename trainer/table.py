"""The paper's table for a task beside ours: every estimator, several seeds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from latent.nn.checkpoint import load
from trainer.build import check_model, options_record
from trainer.experiments.record import provenance
from trainer.kept_runs import KeptRuns
from trainer.options import FitOptions
from trainer.published import SOURCE, TABLES
from trainer.syntax import Sentence, against_gold, baselines, read_treebank
from trainer.tasks import Task
from trainer.trials import agreement, run_trial


@dataclass(frozen=True)
class Plan:
    """What a table is made of."""

    estimators: tuple[str, ...]
    seeds: tuple[int, ...]
    hyperparameters: dict[str, tuple[str, ...]]
    """Of each estimator that has others than its defaults, as NAME=VALUE."""
    tried: int
    """How many configurations were tried on the dev set before these were chosen."""
    treebank: Path | None = None
    """Gold heads in CoNLL-U to compare the trees with."""
    learning_rates: dict[str, float] = field(default_factory=dict)
    """Of estimators that have another one than the common options."""

    def options(self, common: FitOptions, estimator: str, seed: int) -> FitOptions:
        """Return those of one run, from what all have in common."""
        rate = self.learning_rates.get(estimator, common.training.learning_rate)
        return replace(
            common,
            model=replace(common.model, estimator=estimator, set=self.hyperparameters.get(estimator, ())),
            training=replace(common.training, seed=seed, learning_rate=rate),
        )


def make_table(
    task: Task, options: FitOptions, plan: Plan, work: Path, kept: KeptRuns, console: Console
) -> dict[str, Any]:
    """Run every estimator with every seed, and sum up; runs that are there or kept are not run again."""
    for estimator in plan.estimators:  # before the rows above one that cannot be are trained
        check_model(task, plan.options(options, estimator, plan.seeds[0]).model)
    runs: dict[str, list[dict[str, Any]]] = {}
    gold = read_treebank(plan.treebank) if plan.treebank and task.kind == "sentence" else []
    for estimator in plan.estimators:
        runs[estimator] = []
        for seed in plan.seeds:
            console.rule(f"{estimator}, seed {seed}")
            chosen = plan.options(options, estimator, seed)
            record = options_record(task, chosen)
            run = kept.find(record, gold=bool(gold))
            if run:
                console.print(f"taken from {kept.path}, trained at {run['commit']}", highlight=False)
            else:
                folder = work / f"{task.name}-{estimator}-{seed}"
                run = kept.add(record, _train(task, chosen, folder, gold, console))
            runs[estimator].append(run)
    base = {run["seed"]: run["seconds_per_epoch"] for run in runs.get("none", [])}
    every = list(itertools.chain.from_iterable(runs.values()))
    return {
        "task": task.name,
        "seeds": list(plan.seeds),
        "tried": plan.tried,
        "options": options_record(task, options),
        "made": {**provenance(), "commits": sorted({str(run["commit"]) for run in every})},
        "timing": every[0]["timing"],
        "rows": {name: summarize(results, base) for name, results in runs.items()},
        "agreement": agreements(runs),
        "treebank": {"sentences": len(gold), **baselines(gold)} if gold else None,
        "published": {
            name: TABLES[task.name][name]._asdict()
            for name in plan.estimators
            if name in TABLES.get(task.name, {})
        },
    }


def _train(
    task: Task, options: FitOptions, folder: Path, gold: Sequence[Sentence], console: Console
) -> dict[str, Any]:
    result = run_trial(task, options, folder, console)
    if gold and result["dev"]["trees"]:
        result["gold"] = against_gold(load(folder / "model.safetensors").classifier, gold)
    return result


def summarize(results: Sequence[dict[str, Any]], base: Mapping[int, float]) -> dict[str, Any]:
    """Sum up the runs of one estimator: (mean, standard deviation) over seeds.

    Args:
        results: of one run for each seed.
        base: for each seed, the seconds of an epoch of `none`. Runs of one seed are held against each other,
            so that seeds may be run on different machines.
    """
    trained = results[0]["dev"]["trained"]

    def over_seeds(split: str, structure: str) -> tuple[float, float | None] | None:
        if structure not in results[0][split]["accuracy"]:
            return None
        return spread([run[split]["accuracy"][structure] for run in results])

    trees = [run["test"]["trees"] for run in results]
    seconds = [run["seconds_per_epoch"] for run in results]
    ratios = [run["seconds_per_epoch"] / base[run["seed"]] for run in results if run["seed"] in base]
    return {
        "trained": trained,
        "dev": over_seeds("dev", trained),
        "test": over_seeds("test", trained),
        "dev_map": over_seeds("dev", "map"),
        "test_map": over_seeds("test", "map"),
        "seconds_per_epoch": mean(seconds),
        "time_ratio": mean(ratios) if ratios else None,
        "trees": {key: mean(tree[key] for tree in trees) for key in trees[0]} if trees[0] else None,
        "gold_uas": spread([run["gold"] for run in results])
        if all("gold" in run for run in results)
        else None,
    }


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation; one value has none."""
    return mean(values), stdev(values) if len(values) > 1 else None


def agreements(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return the mean UAS of best test trees between estimators; on the diagonal, between seeds of one."""
    with_trees = [name for name, results in runs.items() if results[0]["test"]["trees"]]
    table: dict[str, dict[str, float]] = {name: {} for name in with_trees}
    for one, other in itertools.product(with_trees, repeat=2):
        pairs = [
            (first["test"]["heads"], second["test"]["heads"])
            for first, second in itertools.product(runs[one], runs[other])
            if one != other or first["seed"] < second["seed"]
        ]
        if pairs:
            table[one][other] = mean(agreement(*pair) for pair in pairs)
    return table


def markdown(table: dict[str, Any]) -> str:
    """Write a table as Markdown."""
    published = table["published"]
    head = ["estimator", "dev", "test", "test, MAP", "paper dev", "paper test", "epoch", "paper, min"]
    head += ["depth", "flat", "arc length", "seeds agree", "gold UAS"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in table["rows"].items():
        paper, trees = published.get(name), row["trees"]
        cells = [
            f"`{name}`",
            *(_share(row[key]) for key in ("dev", "test", "test_map")),
            *(f"{paper[key][0]:.2f} ± {paper[key][1]:.2f}" if paper else "" for key in ("dev", "test")),
            f"{row['time_ratio']:.2f} ×" if row["time_ratio"] else f"{row['seconds_per_epoch']:.1f} s",
            paper["minutes"] if paper else "",
            *([f"{trees['mean_depth']:.2f}", f"{trees['flat_share']:.0%}"] if trees else ["", ""]),
            f"{trees['mean_arc_length']:.2f}" if trees else "",
            f"{table['agreement'][name][name]:.0%}" if name in table["agreement"].get(name, {}) else "",
            _share(row["gold_uas"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", _caption(table)]
    return "\n".join(lines) + "\n"


def _share(pair: tuple[float, float | None] | None) -> str:
    if pair is None:
        return ""
    middle, deviation = pair
    return f"{100 * middle:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def _caption(table: dict[str, Any]) -> str:
    seeds = len(table["seeds"])
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    text = (
        f"Task `{table['task']}`; {over}, accuracy in percent under the structure of training, and "
        "under MAP. "
        f"{table['tried']} configuration(s) were tried on the dev set; the test set was read once a run. "
        f"Epoch: {table['timing']} of an epoch over that of `none` with the same seed. Paper: {SOURCE}; "
        "minutes an epoch on one GPU."
    )
    bank = table["treebank"]
    if bank:
        others = ", ".join(f"{name} {100 * bank[name]:.2f}" for name in bank if name != "sentences")
        text += f" Gold UAS: best trees against {bank['sentences']:,} sentences with gold heads; {others}."
    return text


def write_table(table: dict[str, Any], folder: Path) -> list[Path]:
    """Write a table as Markdown, JSON and a figure."""
    from trainer.figure import accuracy_figure

    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / table["task"]
    stem.with_suffix(".md").write_text(markdown(table))
    stem.with_suffix(".json").write_text(json.dumps(table, indent=2) + "\n")
    accuracy_figure(table, stem.with_suffix(".svg"))
    return [stem.with_suffix(ending) for ending in (".md", ".json", ".svg")]
