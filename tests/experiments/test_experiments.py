"""The experiments on small sizes, and the parts that they stand on."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from latent.estimators import make_estimator
from latent.structures import Categorical
from trainer.experiments import EXPERIMENTS, fidelity, mixture, polynomial, synthetic
from trainer.experiments.__main__ import main
from trainer.experiments.adam import RunwiseAdam
from trainer.experiments.record import Record
from trainer.experiments.synthetic_report import PAPER, families


@pytest.fixture
def small_mixture():
    return mixture.draw_mixture(3, seed=0, sizes=(300, 100, 100), features=20)


def test_runwise_adam_is_adam_for_each_run():
    rates = [0.1, 0.01, 0.001]
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    together = values.clone().requires_grad_()
    optimizer = RunwiseAdam([together], torch.tensor(rates))
    alone = [row.clone().requires_grad_() for row in values]
    references = [torch.optim.Adam([row], rate) for row, rate in zip(alone, rates, strict=True)]
    for step in range(6):
        if step == 3:
            optimizer.keep(torch.tensor([0, 2]))
            del alone[1], references[1]
        (together**4).sum().backward()
        optimizer.step()
        for row, reference in zip(alone, references, strict=True):
            reference.zero_grad()
            (row**4).sum().backward()
            reference.step()
        torch.testing.assert_close(together.detach(), torch.stack(alone).detach())


def test_mixture_is_balanced_and_its_clusters_are_apart(small_mixture):
    split = small_mixture.train
    for cluster in range(3):
        labels = split.y[split.cluster == cluster]
        assert abs(float(labels.mean())) < 0.3
    centers = torch.stack([split.x[split.cluster == c].mean(0) for c in range(3)])
    nearest = torch.cdist(split.x, centers).argmin(1)
    assert (nearest == split.cluster).all()


@pytest.mark.parametrize("name", ["marginals", "spigot-ce"])
def test_runs_trained_together_are_runs_trained_alone(name, small_mixture):
    runs = [mixture.Run(seed, rate, "point") for seed in (0, 1) for rate in (1e-2, 1e-3)]
    estimators = {"point": make_estimator(name, Categorical())}

    def trained(chosen):
        models = mixture.Models(chosen, 3, 20)
        for _ in range(5):
            models.step(small_mixture.train, estimators, torch.Generator())
        return models.parameters

    together = trained(runs)
    for r, run in enumerate(runs):
        for parameter, alone in zip(together, trained([run]), strict=True):
            torch.testing.assert_close(parameter[r], alone[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["sparsemap", "ste-identity", "spigot", "spigot-eg"])
def test_dropping_runs_changes_nothing_for_those_that_stay(name, small_mixture):
    """A run of the batch that shrinks ends where it ends in the batch that does not."""
    runs = [mixture.Run(seed, rate, "point") for rate in (1e-2, 1e-3) for seed in (0, 1, 2)]
    estimators = {"point": make_estimator(name, Categorical())}
    stay = torch.tensor([1, 2, 4])

    def trained(shrinking):
        models = mixture.Models(runs, 3, 20)
        for step in range(12):
            models.step(small_mixture.train, estimators, torch.Generator())
            if shrinking and step == 5:
                models.keep(stay)
        return models.parameters

    for small, whole in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(small, whole[stay], rtol=1e-4, atol=1e-6)


def test_rows_trained_side_by_side_are_those_trained_in_turn(tmp_path, monkeypatch):
    """In threads here, which start at once; what processes need besides is that all of it can be pickled."""
    sent = (synthetic.train_alone, 3, synthetic.ROWS["ste-i"], synthetic.Settings(), 1)
    assert pickle.loads(pickle.dumps(sent)) == sent
    monkeypatch.setattr(synthetic, "ProcessPoolExecutor", lambda jobs, _: ThreadPoolExecutor(jobs))

    def made(jobs):
        synthetic.run(tmp_path / str(jobs), (3,), ("ste-i", "linear"), False, seeds=1, steps=50, jobs=jobs)
        rows = json.loads((tmp_path / str(jobs) / "synthetic.json").read_text())["rows"]
        assert list(rows) == ["3/ste-i", "3/linear"]
        return {key: (row["test"], row["curve"], row["steps"]) for key, row in rows.items()}

    assert made(2) == made(1)


def test_synthetic_refuses_no_jobs(tmp_path):
    with pytest.raises(ValueError, match="jobs ≥ 1"):
        synthetic.run(tmp_path, jobs=0)


def test_one_inner_step_is_the_row_itself_where_it_has_no_other():
    rows = {"10/spigot": "a", "10/spigot k=2": "b", "10/ste-i": "c", "10/ste-i k=1": "d", "10/ste-i k=5": "e"}
    assert families(rows) == {"spigot": {1: "a", 2: "b"}, "ste-i": {1: "d", 5: "e"}}


def test_synthetic_chooses_on_validation_and_drops_the_slow(small_mixture):
    settings = synthetic.Settings(seeds=2, rates=(1e-6, 1e-2), steps=60, every=10, patience=50, halving=(20,))
    row = synthetic.train(synthetic.ROWS["sfe-baseline"], small_mixture, settings)
    assert row["point"] == "baseline=moving-average rate=0.01"
    assert list(row["validation"]) == [row["point"]]
    assert len(row["test"]["runs"]) == 2
    assert len(row["curve"]["accuracy"]) == 6
    gold = synthetic.train(synthetic.ROWS["gold"], small_mixture, settings)
    assert gold["v_measure"]["median"] == 100
    assert gold["test"]["median"] > 60


def test_every_row_of_the_papers_table_is_there():
    assert set(PAPER[3]) == set(PAPER[10]) <= set(synthetic.ROWS)


def test_synthetic_writes_its_results_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    drawn = mixture.draw_mixture(3, seed=0, sizes=(300, 100, 100), features=20)
    monkeypatch.setattr(synthetic, "draw_mixture", lambda clusters, seed: drawn)
    options = {"results": tmp_path, "clusters": (3,), "inner_steps": False, "seeds": 2, "steps": 100}
    synthetic.run(rows=("softmax",), **options)
    first = json.loads((tmp_path / "synthetic.json").read_text())
    synthetic.run(rows=("softmax", "ste-i"), **options)
    second = json.loads((tmp_path / "synthetic.json").read_text())
    assert second["rows"]["3/softmax"] == first["rows"]["3/softmax"]
    assert second["rows"]["3/ste-i"]["made"]["versions"]["torch"] == torch.__version__
    assert "| ste-i |" in (tmp_path / "synthetic.md").read_text()
    assert (tmp_path / "synthetic-curves-3.svg").read_text().startswith("<?xml")


def test_record_drops_rows_of_another_configuration(tmp_path):
    record = Record(tmp_path / "r.json", "test", {"a": 1})
    record.add("x", {"value": 1.23456789})
    assert Record(tmp_path / "r.json", "test", {"a": 1}).rows["x"]["value"] == 1.23457
    assert Record(tmp_path / "r.json", "test", {"a": 2}).rows == {}
    assert Record(tmp_path / "r.json", "test", {"a": 1}, fresh=True).rows == {}


@pytest.mark.parametrize("draw", [fidelity.categorical_problem, fidelity.tree_problem])
def test_fidelity_compares_with_the_gradient_of_the_expected_loss(draw):
    """Against finite differences of Σ p(z) L(z) over structures found by another algorithm."""
    problem = draw(3, 1)
    if draw is fidelity.tree_problem:
        heads = [(0, 1, 2), (0, 1, 1), (2, 0, 2), (2, 3, 0), (3, 3, 0), (0, 3, 1), (3, 1, 0)]
        table = torch.zeros(7, 4, 4, dtype=torch.float64)
        for t, tree in enumerate(heads):
            table[t, list(tree), [1, 2, 3]] = 1
    else:
        table = torch.eye(3, dtype=torch.float64)

    def expected(scores):
        return (table * scores).flatten(1).sum(1).softmax(0) @ problem.losses(table)

    for index in (problem.exact != 0).nonzero():
        moved = torch.zeros_like(problem.scores)
        moved[(0, *index)] = 1e-5
        slope = (expected(problem.scores + moved) - expected(problem.scores - moved)) / 2e-5
        assert float(problem.exact[tuple(index)]) == pytest.approx(float(slope), abs=1e-7)


def test_fidelity_of_reinmax_is_perfect_on_a_quadratic_loss():
    """The categorical loss is quadratic: only sampling noise is left, unlike for straight-through."""
    problem = fidelity.categorical_problem(5, 0)
    found = {
        name: fidelity.measure(make_estimator(name, problem.structure), problem, (1, 20_000), 0, 0)
        for name in ("reinmax", "straight-through", "score-function")
    }
    assert found["reinmax"]["cosine"][1] > 0.999
    assert found["reinmax"]["bias"] < 4 * (found["reinmax"]["variance"] / 20_000) ** 0.5
    assert found["straight-through"]["bias"] > 10 * found["reinmax"]["bias"]
    assert found["score-function"]["variance"] > found["reinmax"]["variance"]


def test_fidelity_of_aimle_lets_it_adapt_first():
    problem = fidelity.categorical_problem(5, 0)
    estimator = make_estimator("aimle", problem.structure, update_step=0.05)
    found = fidelity.measure(estimator, problem, (1, 1_000), 60, 0)
    assert not estimator.training
    assert float(estimator.alpha) > 0
    assert 0 < found["zeros"] < 1


@pytest.mark.parametrize("setting", ["A", "B"])
def test_polynomial_gap(setting):
    c = polynomial.constants(setting, 8)
    best = torch.where(c > 0.5, 1.0, 0.0)
    theta = torch.stack([-50 * (best - 0.5), 50 * (best - 0.5)], 1)
    assert float(polynomial.gap(theta, c, 2.0)) == pytest.approx(0, abs=1e-6)
    half = torch.zeros(8, 2)
    by_hand = sum(((1 - x) ** 3 + x**3) / 2 - min((1 - x) ** 3, x**3) for x in c.tolist()) / 8
    assert float(polynomial.gap(half, c, 3.0)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("method", ["reinmax", "score-function"])
def test_polynomial_training_goes_down(method):
    settings = polynomial.Settings(variables=8, batch=64, steps=60, rate=0.05, every=20)
    row = polynomial.train(method, polynomial.constants("B", 8), 2.0, settings)
    assert len(row["gap"]) == 4
    assert row["gap"][-1] < 0.5 * row["gap"][0]


def test_command_line_lists_the_experiments(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in EXPERIMENTS)
    assert main(["nothing"]) == 2
