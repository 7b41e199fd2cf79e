"""Names, hyperparameters and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent.estimators import ESTIMATORS, make_estimator
from latent.estimators.documentation import page

from .enumeration import Enumerated

TREE = Enumerated("projective")


def test_names_are_those_of_the_classes():
    assert {name: cls.name for name, cls in ESTIMATORS.items()} == {name: name for name in ESTIMATORS}


@pytest.mark.parametrize("cls", ESTIMATORS.values(), ids=ESTIMATORS.keys())
def test_every_estimator_and_hyperparameter_is_documented(cls):
    assert cls.title
    assert cls.source
    assert cls.forward_formula
    assert cls.gradient_formula
    for field in cls.Options.model_fields.values():
        assert field.description
        assert not field.is_required()


def test_unknown_estimator():
    with pytest.raises(ValueError, match="make_estimator: unknown estimator 'spigott'; choose from: none, "):
        make_estimator("spigott", TREE)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("spigot", {"step_size": 0}, "spigot: step_size: input should be greater than 0; got 0"),
        ("spigot", {"step_size": -1.0}, "spigot: step_size: .* greater than 0; got -1.0"),
        ("spigot-eg", {"step_size": float("inf")}, "spigot-eg: step_size: .* finite number; got inf"),
        ("ste-identity", {"steps": 0}, "ste-identity: steps: .* greater than or equal to 1; got 0"),
        ("spigot", {"steps": 1.5}, "spigot: steps: .* valid integer.*; got 1.5"),
        ("spigot-ce", {"init": "argmax"}, "spigot-ce: init: .*'map', 'marginals' or 'zero'; got 'argmax'"),
        (
            "ste-identity",
            {"eta": 1},
            "ste-identity: unknown hyperparameter 'eta'; it takes: step_size, steps, init",
        ),
        (
            "spigot",
            {"eta": 1},
            "spigot: unknown hyperparameter 'eta'; it takes: step_size, steps, init, tol, max_iter",
        ),
        ("sparsemap", {"tol": -1e-3}, "sparsemap: tol: .* greater than or equal to 0; got -0.001"),
        ("reinmax", {"temperature": 0.9}, "reinmax: temperature: .* greater than or equal to 1; got 0.9"),
        ("perturb-and-map", {"temperature": 0}, "perturb-and-map: temperature: .* greater than 0; got 0"),
        ("imle", {"samples": 0}, "imle: samples: .* greater than or equal to 1; got 0"),
        ("imle", {"lambda_": -1}, "imle: lambda_: .* greater than 0; got -1"),
        ("imle", {"noise": "normal"}, "imle: noise: .*'gumbel' or 'sum-of-gamma'; got 'normal'"),
        ("score-function", {"baseline": "mean"}, "score-function: baseline: .*; got 'mean'"),
        ("score-function", {"entropy_bonus": -1}, "score-function: entropy_bonus: .*; got -1"),
        ("marginals", {"steps": 1}, "marginals: unknown hyperparameter 'steps'; it takes: none"),
    ],
)
def test_wrong_hyperparameters(name, options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make_estimator(name, TREE, **options)


@pytest.mark.parametrize("name", ["entmax", "gapped-st", "gumbel-rao"])
def test_categorical_only(name):
    with pytest.raises(ValueError, match=f"{name}: is for a categorical only; got the structure projective"):
        make_estimator(name, TREE)


def test_entmax_below_one():
    with pytest.raises(ValueError, match=r"entmax: alpha: .* greater than 1; got 1"):
        make_estimator("entmax", Enumerated("categorical"), alpha=1)


def test_the_documentation_page_is_up_to_date():
    written = Path(__file__).parents[2] / "docs" / "estimators.md"
    assert written.read_text() == page(), "run: python -m latent.estimators > docs/estimators.md"
