"""What the estimators say of themselves, as data and as the page `docs/estimators.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latent.estimators import ESTIMATORS
from latent.estimators.base import Estimator

HEAD = """\
# Estimators

*This page is made from the code by `python -m latent.estimators > docs/estimators.md`.*

Every estimator is used in the same way:

```python
from latent.estimators import make_estimator
from latent.structures import ProjectiveTree

estimator = make_estimator("spigot", ProjectiveTree(single_root=True), step_size=0.1)
z = estimator(scores, lengths)                       # the forward value
losses = estimator.loss(scores, lengths, downstream) # (batch,), with the estimator's gradient attached
```

In the formulas s are the scores, ẑ = MAP(s), μ = Marg(s), Σ = ∂μ/∂s, Π the Euclidean projection
(SparseMAP), γ(z) = ∇_z of the example's own loss, η the step size and k the number of steps. Gradients are
per example: they do not depend on the batch, nor on the weights with which the losses are added up.
"""


def describe(estimator: type[Estimator]) -> dict[str, Any]:
    """Name, title, source, formulas and hyperparameters (as JSON schema properties) of an estimator."""
    return {
        "name": estimator.name,
        "title": estimator.title,
        "source": estimator.source,
        "forward_formula": estimator.forward_formula,
        "gradient_formula": estimator.gradient_formula,
        "categorical_only": estimator.categorical_only,
        "hyperparameters": estimator.Options.model_json_schema().get("properties", {}),
    }


def page() -> str:
    """`docs/estimators.md`: one table of the estimators, one of their hyperparameters."""
    rows = [describe(estimator) for estimator in ESTIMATORS.values()]
    estimators = [
        (
            f"`{row['name']}`" + (" (categorical)" if row["categorical_only"] else ""),
            row["title"],
            f"${row['forward_formula']}$",
            f"${row['gradient_formula']}$",
            row["source"],
        )
        for row in rows
    ]
    users: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for name, schema in row["hyperparameters"].items():
            key = (f"`{name}`", _range(schema), schema["description"])
            users.setdefault(key, []).append(f"`{row['name']}` ({schema['default']})")
    hyperparameters = [(*key, ", ".join(names)) for key, names in users.items()]
    return "\n".join(
        [
            HEAD,
            *_table(("name", "what it is", "forward", "gradient given to s", "source"), estimators),
            "\n## Hyperparameters\n",
            *_table(("hyperparameter", "values", "meaning", "estimators (default)"), hyperparameters),
            "",
        ]
    )


def _range(schema: dict[str, Any]) -> str:
    """The values that a JSON schema property takes."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    bounds = {"exclusiveMinimum": ">", "minimum": "≥", "maximum": "≤"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return " ".join([schema["type"], ", ".join(limits)]).strip()


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
