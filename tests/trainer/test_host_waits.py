"""No training step waits for the device: steps run whole on torch's `meta` device, which holds no numbers.

Whatever needs a number on the host raises there: `item`, `tolist`, `bool`, a boolean index, a copy to the
CPU. Kernels of trees are replaced by products of tensors, and so are not looked at here.
"""

import threading

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping

from latent.checks import deferred, expect, expect_finite
from latent.estimators import ESTIMATORS
from latent.nn.pair_classifier import SENTENCES_ONLY
from latent.structures import operators
from trainer import fit
from trainer.build import build
from trainer.callbacks import CheckNumbers
from trainer.data import LabelledBatch
from trainer.learner import Learner
from trainer.options import FitOptions, ModelOptions, RunOptions, TrainingOptions
from trainer.run_folder import RunFolder
from trainer.tasks import Example, Splits

LISTS = {"sparse-expectation"}
"""It writes out a support tree by tree, which is work of the host."""
META = torch.device("meta")
STEPS = 3
TREES = [name for name, kind in ESTIMATORS.items() if not kind.categorical_only and name not in LISTS]


class OfSentences:
    name = kind = "sentence"


class OfPairs:
    name = kind = "pair"


def splits(kind):
    texts = [("a", "warm", "film"), ("dull",), ("it", "is", "a", "long", "story"), ("what", "fun")] * 4
    items = [text if kind == "sentence" else (text, text[::-1]) for text in texts]
    examples = [Example(item, index % 2) for index, item in enumerate(items)]
    return Splits(("no", "yes"), examples, examples, examples, sentences=texts)


@pytest.fixture
def trees_elsewhere(monkeypatch):
    """Operators that ask no kernels, but have shapes, dtypes and gradients like theirs."""

    def projection(structure, scores, lengths, *rest):
        count = torch.zeros_like(lengths)
        return scores * 2, count, count, count, count, count.double(), count

    stand_ins = {
        "tree_map": lambda structure, scores, *rest: torch.zeros_like(scores),
        "tree_sample": lambda structure, scores, *rest: torch.zeros_like(scores),
        "tree_marginals": lambda structure, scores, *rest: (scores * 2, scores.sum((1, 2))),
        "tree_sparsemap": projection,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(operators, name, stand_in)
    # Before the first step Lightning adds the processes' numbers of batches up on the device.
    monkeypatch.setattr("lightning.pytorch.loops.fit_loop.has_len_all_ranks", lambda *_: True)
    # The fused step, one kernel for all weights, is not there for the meta device.
    fused = torch.optim.AdamW
    monkeypatch.setattr(
        torch.optim,
        "AdamW",
        lambda *given, **named: fused(*given, **{**named, "fused": False, "foreach": True}),
    )


class Enough(Exception):
    pass


class Stop(Callback):
    """End the run before anybody validates, logs or looks."""

    def on_train_batch_end(self, trainer, learner, *rest):
        assert {weight.device for weight in learner.parameters()} == {META}
        if trainer.global_step == STEPS:
            raise Enough


def train(task, estimator, folder):
    """Take three steps as `fit` does, on the meta device."""
    options = FitOptions(
        model=ModelOptions(hidden_size=8, embedding_size=6, min_count=1, estimator=estimator),
        training=TrainingOptions(batch_size=4, epochs=1, balance=True, accelerator="cpu", devices="1"),
        run=RunOptions(quiet=True),
    )
    examples, alone = splits(task.kind), fit.Processes(0, 1, 1)
    classifier = build(task, examples, options.model)
    loader, dev = fit._loaders(classifier, examples, options, alone)
    given = [CheckNumbers(fit.LOOK_EVERY), Stop()]
    trainer = fit._trainer(RunFolder(folder), options, given, len(loader), alone)
    trainer.strategy._root_device = META
    trainer.accelerator.setup_device = lambda device: None  # it would insist on a CPU
    trainer._teardown = lambda: None  # it would bring the weights home
    trainer.limit_val_batches = 0
    trainer.callbacks = [each for each in trainer.callbacks if not isinstance(each, EarlyStopping)]
    learner = Learner(classifier, options.training, loader.order, torch.ones(2))
    with pytest.raises(Enough):
        trainer.fit(learner, loader, dev)
    assert trainer.global_step == STEPS


@pytest.mark.parametrize("estimator", TREES)
@pytest.mark.parametrize("task", [OfSentences, OfPairs])
def test_no_step_waits_for_the_device(trees_elsewhere, tmp_path, task, estimator):
    if task is OfPairs and estimator in SENTENCES_ONLY:
        pytest.skip("takes sentences only")
    train(task(), estimator, tmp_path)


def test_the_meta_device_tells_on_who_looks(trees_elsewhere, tmp_path, monkeypatch):
    """The test above would see it if a step looked at its loss."""
    step = Learner.training_step

    def looking(self, batch, index):
        loss = step(self, batch, index)
        assert loss > 0
        return loss

    monkeypatch.setattr(Learner, "training_step", looking)
    with pytest.raises(RuntimeError, match="meta tensors"):
        train(OfSentences(), "marginals", tmp_path)


def test_checks_wait_until_somebody_looks():
    """In order, from any thread; and at once where nobody defers them."""
    wrong, right = torch.tensor([1.0, torch.inf]), torch.tensor([1.0])
    with deferred() as pending:
        expect_finite(right, lambda: FloatingPointError("right"))
        backward = threading.Thread(target=expect_finite, args=(wrong, lambda: FloatingPointError("first")))
        backward.start()
        backward.join()
        expect(torch.tensor(False), lambda: ValueError("second"))
    with pytest.raises(FloatingPointError, match="first"):
        pending.look()
    pending.look()
    expect(torch.tensor([True]), lambda: ValueError("fine"))
    with pytest.raises(ValueError, match="now"):
        expect(torch.tensor([False]), lambda: ValueError("now"))
    with pytest.raises(FloatingPointError, match="now"):
        expect_finite(wrong, lambda: FloatingPointError("now"))


def test_batches_for_a_gpu_are_copied_from_pinned_memory(monkeypatch):
    """From other memory a copy waits for the steps before it; without a GPU nothing can be pinned."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor.shape) or tensor)
    monkeypatch.setattr(pl.LightningModule, "transfer_batch_to_device", lambda self, batch, *_: batch)
    examples = splits("sentence")
    options = FitOptions(model=ModelOptions(hidden_size=8, min_count=1))
    classifier = build(OfSentences(), examples, options.model)
    loader, _ = fit._loaders(classifier, examples, options, fit.Processes(0, 1, 1))
    learner, batch = Learner(classifier, options.training, loader.order), next(iter(loader))
    assert isinstance(learner.transfer_batch_to_device(batch, torch.device("cuda"), 0), LabelledBatch)
    assert pinned == [batch.batch.ids.shape, batch.batch.lengths.shape, batch.labels.shape]
    learner.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert len(pinned) == 3
