import json
import math
import socket
import subprocess
import sys
import tracemalloc
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from rich.console import Console

try:
    import resource
except ImportError:
    resource = None

from latent.checks import deferred, expect_finite
from latent.nn.checkpoint import load
from latent.nn.sentence_classifier import SentenceClassifier
from latent.structures import ProjectiveTree
from trainer.__main__ import main
from trainer.build import build
from trainer.callbacks import Bar, CheckNumbers, SaveState
from trainer.data import targets_of
from trainer.errors import UserError
from trainer.evaluate import evaluate
from trainer.fit import fit
from trainer.kept_vectors import KeptVectors
from trainer.learner import Learner, label_weights, learning_rate_factor, weights_of
from trainer.options import FitOptions, ModelOptions, RunOptions, TrainingOptions
from trainer.run_folder import FitError
from trainer.tasks import Example
from trainer.tasks.sst import Sst
from trainer.vectors import read_vectors

QUIET = Console(quiet=True)


def options(out, estimator="spigot", *, resume=False, model=None, **training):
    return FitOptions(
        model=ModelOptions(
            **{"hidden_size": 16, "embedding_size": 12, "min_count": 1, **(model or {})}, estimator=estimator
        ),
        training=TrainingOptions(
            **{
                "epochs": 6,
                "batch_size": 16,
                "learning_rate": 0.01,
                "threads": 1,
                "accelerator": "cpu",
                **training,
            }
        ),
        run=RunOptions(out=out, resume=resume, quiet=True, save_every=7),
    )


@pytest.mark.parametrize("estimator", ["none", "marginals", "sparsemap", "ste-identity", "spigot"])
def test_a_short_fit_learns(sst_folder, tmp_path, estimator):
    task = Sst(data=sst_folder, phrases=True)
    run = fit(task, options(tmp_path / "run", estimator), QUIET)
    assert run.metrics["dev_accuracy"] == 1.0
    checkpoint = load(run.checkpoint)
    report = evaluate(checkpoint.classifier, task.splits().test)
    assert report.accuracy[report.trained] == 1.0
    assert checkpoint.header.training["task"] == "sst"
    assert checkpoint.header.metrics["dev"]["dev_accuracy"] == 1.0
    curve = run.metrics["curve"]
    assert [point["epoch"] for point in curve] == list(range(1, len(curve) + 1))
    assert curve[int(run.metrics["epoch"]) - 1]["dev_accuracy"] == 1.0
    steps = math.ceil(len(task.splits().train) / 16)
    for clock in ("", "processor_"):
        an_epoch, a_step = (run.metrics[f"{clock}seconds_per_{what}"] for what in ("epoch", "step"))
        assert an_epoch > 0
        assert a_step == pytest.approx(an_epoch / steps)


@pytest.mark.parametrize("estimator", ["none", "marginals", "spigot"])
def test_a_fit_in_mixed_precision_learns_on_charts_in_single(sst_folder, tmp_path, monkeypatch, estimator):
    """The layers compute in bfloat16, which has eight bits of precision; the trees never do."""
    layers, charts = set(), set()
    linear = torch.nn.Linear.forward

    def watched_linear(self, given):
        layers.add((result := linear(self, given)).dtype)
        return result

    for name in ("map", "marginals", "sparsemap"):
        method = getattr(ProjectiveTree, name)

        def watched(self, scores, *rest, method=method, **named):
            result = method(self, scores, *rest, **named)
            charts.update((scores.dtype, result.dtype))
            return result

        monkeypatch.setattr(ProjectiveTree, name, watched)
    monkeypatch.setattr(torch.nn.Linear, "forward", watched_linear)
    task = Sst(data=sst_folder, phrases=True)
    run = fit(task, options(tmp_path / "run", estimator, precision="bf16-mixed"), QUIET)
    assert run.metrics["dev_accuracy"] == 1.0
    assert layers == {torch.bfloat16}
    assert charts == (set() if estimator == "none" else {torch.float32})
    assert {tensor.dtype for tensor in load(run.checkpoint).classifier.state_dict().values()} == {
        torch.float32
    }


@pytest.mark.parametrize("stop", [7, 12, 18])
def test_a_resumed_run_ends_with_the_same_weights(sst_folder, tmp_path, monkeypatch, stop):
    """Killed in the middle of an epoch, at its end, and later: the same final bits."""
    task = Sst(data=sst_folder)
    model, training = {"dropout": 0.3}, {"epochs": 4, "patience": 10}
    whole = fit(task, options(tmp_path / "whole", model=model, **training), QUIET)
    with monkeypatch.context() as patch:
        kill_after(patch, stop)
        with pytest.raises(RuntimeError, match="killed"):
            fit(task, options(tmp_path / "cut", model=model, **training), QUIET)
    resumed = fit(task, options(tmp_path / "cut", model=model, resume=True, **training), QUIET)
    final = [torch.load(run.checkpoint.parent / "state.ckpt", weights_only=True) for run in (whole, resumed)]
    assert final[0]["global_step"] == final[1]["global_step"] == 4 * math.ceil(len(task.splits().train) / 16)
    for name, tensor in final[0]["state_dict"].items():
        assert torch.equal(tensor, final[1]["state_dict"][name]), name
    assert whole.metrics["curve"] == resumed.metrics["curve"]
    one, other = load(whole.checkpoint), load(resumed.checkpoint)
    assert one.header.metrics == other.header.metrics
    for name, tensor in one.classifier.state_dict().items():
        assert torch.equal(tensor, other.classifier.state_dict()[name]), name


def test_ctrl_c_says_how_to_go_on(sst_folder, tmp_path, monkeypatch, capsys):
    """The command ends with one line, and what was saved can be resumed."""
    step = Learner.training_step

    def interrupted(self, batch, index):
        if self.global_step == 8:
            raise KeyboardInterrupt
        return step(self, batch, index)

    given = ["fit", "sst", "--data", str(sst_folder), "--out", str(tmp_path / "run"), "--estimator", "none"]
    small = "--hidden-size 8 --epochs 2 --batch-size 16 --threads 1 --accelerator cpu --quiet"
    given += small.split()
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", interrupted)
        assert main(given) == 1
    assert "interrupted at step 8; go on by --resume" in capsys.readouterr().err
    assert main([*given, "--resume"]) == 0
    assert "best dev accuracy" in capsys.readouterr().out


def kill_after(patch, steps):
    from trainer.learner import Learner

    step = Learner.training_step

    def dying(self, batch, index):
        if self.global_step >= steps:
            raise RuntimeError("killed")
        return step(self, batch, index)

    patch.setattr(Learner, "training_step", dying)


def test_a_run_is_not_overwritten_nor_resumed_with_other_options(sst_folder, tmp_path):
    task = Sst(data=sst_folder)
    with pytest.raises(FitError, match="nothing to resume in"):
        fit(task, options(tmp_path / "run", epochs=1, resume=True), QUIET)
    fit(task, options(tmp_path / "run", epochs=1), QUIET)
    with pytest.raises(FitError, match="holds a run; go on with it by --resume"):
        fit(task, options(tmp_path / "run", epochs=1), QUIET)
    with pytest.raises(FitError, match=r"other options: training\.learning_rate"):
        fit(task, options(tmp_path / "run", epochs=1, learning_rate=0.5, resume=True), QUIET)


def test_a_run_from_before_there_was_an_option_goes_on(sst_folder, tmp_path):
    task, recorded = Sst(data=sst_folder), tmp_path / "run" / "options.json"
    finished = fit(task, options(tmp_path / "run", epochs=1), QUIET)
    content = json.loads(recorded.read_text())
    assert content["training"].pop("parser_rate") == 1.0
    assert content["task"].pop("grades") is False
    recorded.write_text(json.dumps(content))
    assert fit(task, options(tmp_path / "run", epochs=1, resume=True), QUIET) == finished
    with pytest.raises(FitError, match=r"other options: training\.parser_rate;"):
        fit(task, options(tmp_path / "run", epochs=1, parser_rate=0.5, resume=True), QUIET)
    with pytest.raises(FitError, match=r"other options: task\.grades;"):
        fit(replace(task, grades=True), options(tmp_path / "run", epochs=1, resume=True), QUIET)


@pytest.mark.parametrize("estimator", ["none", "spigot"])
@pytest.mark.parametrize("later", [False, True])
def test_numbers_that_are_not_finite_stop_the_run(sst_folder, tmp_path, monkeypatch, estimator, later):
    """In the step that made them, or, as on an accelerator, at the next look; they never reach the disk."""

    def defer(self, trainer, learner):
        self._pending = self._deferral.enter_context(deferred())

    if later:
        monkeypatch.setattr(CheckNumbers, "on_fit_start", defer)
    # The state is saved after 7 steps, the last sound ones.
    factor = lambda options, steps: lambda step: 1.0 if step < 7 else 1e33  # noqa: E731
    monkeypatch.setattr("trainer.learner.learning_rate_factor", factor)
    given = options(tmp_path / "run", estimator, learning_rate=1e-3, clip=0.0)
    with pytest.raises(FitError, match=r"step \d+: .*(finite|NaN).* the last good state is .*state.ckpt"):
        fit(Sst(data=sst_folder), given, QUIET)
    state = torch.load(tmp_path / "run" / "state.ckpt", weights_only=True)
    assert state["global_step"] == 7
    assert all(tensor.isfinite().all() for tensor in state["state_dict"].values())
    with pytest.raises(FloatingPointError, match="at once"):
        expect_finite(torch.tensor([torch.nan]), lambda: FloatingPointError("at once"))


def test_a_run_that_fails_before_its_first_save_says_so(sst_folder, tmp_path):
    with pytest.raises(FitError, match=r"step \d+: .*finite.* no state was saved"):
        fit(Sst(data=sst_folder), options(tmp_path / "run", learning_rate=1e30, clip=0.0, warmup=0.0), QUIET)


def test_the_progress_bar_looks_at_the_loss_now_and_then(sst_folder, tmp_path, monkeypatch):
    shown = []
    metrics = Bar.get_metrics

    def watched(self, trainer, learner):
        found = metrics(self, trainer, learner)
        shown.append((trainer.global_step, found.get("loss")))
        return found

    monkeypatch.setattr(Bar, "get_metrics", watched)
    monkeypatch.setattr("trainer.fit.LOOK_EVERY", 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    given = options(tmp_path / "run", "none", epochs=1)
    fit(Sst(data=sst_folder), replace(given, run=replace(given.run, quiet=False)), QUIET)
    losses = dict(shown)
    assert losses[1] is None
    assert losses[2] > 0
    assert losses[2] == losses[3] != losses[4]


@pytest.mark.skipif(
    resource is None, reason="this system has no limit on the size of files to try a full disk"
)
def test_a_full_disk_leaves_the_last_good_state(sst_folder, tmp_path, monkeypatch):
    task, limits = Sst(data=sst_folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    written = SaveState.on_train_epoch_end

    def full(self, trainer, learner):
        if trainer.current_epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        written(self, trainer, learner)

    with monkeypatch.context() as patch:
        patch.setattr(SaveState, "on_train_epoch_end", full)
        try:
            with pytest.raises(FitError, match="could not write to"):
                fit(task, options(tmp_path / "run", epochs=3, patience=9), QUIET)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    steps = math.ceil(len(task.splits().train) / 16)
    assert torch.load(tmp_path / "run" / "state.ckpt", weights_only=True)["global_step"] == 7 > steps
    fit(task, options(tmp_path / "run", epochs=3, patience=9, resume=True), QUIET)


def test_a_folder_that_cannot_be_written(sst_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FitError, match="cannot write to"):
        fit(Sst(data=sst_folder), options(tmp_path / "file" / "run"), QUIET)


def test_pretrained_vectors_are_taken_and_can_be_frozen(sst_folder, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("lovely 1 0 0 0\ndull -1 0 0 0\nunseen 9 9 9 9\n")
    task = Sst(data=sst_folder)
    model = ModelOptions(vectors=(vectors,), embeddings="frozen", hidden_size=8, min_count=2)
    classifier = build(task, task.splits(), model)
    lovely, film = classifier.look_up(["lovely", "film"])
    embedding = classifier.encoder.embedding
    assert embedding.weight[lovely].tolist() == [1, 0, 0, 0]
    assert "unseen" not in classifier.vocabulary
    classifier.loss(classifier.batch([["lovely", "film"]]), torch.tensor([1])).sum().backward()
    assert embedding.weight.grad is None
    assert lovely not in embedding.rows
    assert embedding.own.grad[embedding.rows == film].ne(0).any()


def test_kept_vectors_look_and_learn_like_a_whole_table():
    """Beside an embedding whose gradient is masked by hand: values, steps, and the state that is saved."""
    torch.manual_seed(0)
    whole = torch.nn.Embedding(6, 3, padding_idx=0)
    trained = torch.tensor([True, True, False, False, True, False])
    kept = KeptVectors(deepcopy(whole), trained)
    ids = torch.tensor([[4, 2, 0], [1, 4, 5]])
    for table in (whole, kept):
        vectors = table(ids)
        (vectors * torch.arange(18.0).view(2, 3, 3)).sum().backward()
    with torch.no_grad():
        whole.weight -= 0.1 * whole.weight.grad * trained[:, None]
        kept.own -= 0.1 * kept.own.grad
    torch.testing.assert_close(kept(ids), whole(ids))
    assert list(kept.state_dict()) == ["weight"]
    torch.testing.assert_close(kept.state_dict()["weight"], whole.weight.detach())
    again = KeptVectors(torch.nn.Embedding(6, 3, padding_idx=0), trained)
    again.load_state_dict(kept.state_dict())
    torch.testing.assert_close(again(ids), whole(ids))


def test_all_vectors_kept():
    whole = torch.nn.Embedding(3, 2)
    kept = KeptVectors(whole, torch.zeros(3, dtype=torch.bool))
    assert torch.equal(kept(torch.tensor([2, 0])), whole.weight[[2, 0]])


@pytest.mark.parametrize(
    ("embeddings", "moved"), [("tuned", [True]), ("frozen", [False]), ("both", [False, True])]
)
def test_what_of_the_embeddings_a_fit_moves(sst_folder, tmp_path, embeddings, moved):
    """After real steps: a pre-trained vector only where it is tuned, any other word everywhere."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("lovely 1 0 0.5\nfilm 0 2 0\n")
    task = Sst(data=sst_folder)
    model = {"vectors": (vectors,), "embeddings": embeddings, "embedding_size": None}
    given = options(tmp_path / "run", epochs=2, model=model)
    torch.manual_seed(given.training.seed)
    before = build(task, task.splits(), given.model)
    after = load(fit(task, given, QUIET).checkpoint).classifier
    assert after.config.embedding_size == 3 * len(moved)
    lovely, film, dull = before.look_up(["lovely", "film", "dull"])
    start, end = (each.encoder.embedding.weight.detach().chunk(len(moved), 1) for each in (before, after))
    for one, other, moves in zip(start, end, moved, strict=True):
        torch.testing.assert_close(one[[lovely, film]], torch.tensor([[1, 0, 0.5], [0, 2, 0]]))
        assert torch.equal(one[[lovely, film]], other[[lovely, film]]) != moves
        assert not torch.allclose(one[dull], other[dull], atol=1e-3)
        assert other[0].eq(0).all()


@pytest.mark.parametrize(("rate", "moves"), [(0.0, False), (0.5, True)])
def test_the_parser_learns_at_a_rate_of_its_own(sst_folder, tmp_path, rate, moves):
    """With decay, which would move weights at any rate but zero."""
    task = Sst(data=sst_folder)
    given = options(tmp_path / "run", "marginals", epochs=2, parser_rate=rate, weight_decay=0.1)
    torch.manual_seed(given.training.seed)
    before = build(task, task.splits(), given.model).state_dict()
    after = load(fit(task, given, QUIET).checkpoint).classifier.state_dict()
    moved = {name for name in before if not torch.allclose(before[name], after[name], atol=1e-3)}
    assert {name for name in moved if "embedding" not in name and "arc_scorer" not in name}
    assert any(name.startswith("arc_scorer") for name in moved) == moves


@pytest.mark.parametrize("embeddings", ["frozen", "both"])
def test_keeping_vectors_wants_vectors(sst_folder, embeddings):
    task = Sst(data=sst_folder)
    with pytest.raises(UserError, match=rf"--embeddings {embeddings}: .*--vectors"):
        build(task, task.splits(), ModelOptions(embeddings=embeddings))


def test_vectors_stream_by_in_bounded_memory(tmp_path):
    """A file of megabytes, of which one word is wanted, takes kilobytes."""
    path = tmp_path / "vectors.txt"
    with path.open("w") as file:
        file.writelines(f"word{number} {'0.123456 ' * 49}1\n" for number in range(20_000))
    assert path.stat().st_size > 9_000_000
    tracemalloc.start()
    try:
        found = read_vectors(path, {"word19999"}.__contains__)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.words == ["word19999"]
    assert peak < 500_000


def test_pretrained_vectors_of_length_one(sst_folder, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("lovely 3 4\ndull 0 0\nfilm 0 -2\n")
    task = Sst(data=sst_folder)
    model = ModelOptions(vectors=(vectors,), unit_vectors=True, hidden_size=8)
    classifier = build(task, task.splits(), model)
    rows = classifier.encoder.embedding.weight[classifier.look_up(["lovely", "dull", "film"])]
    torch.testing.assert_close(rows, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))


def test_unknown_words_are_trained_by_rare_ones(sst_folder):
    task = Sst(data=sst_folder)
    classifier = build(task, task.splits(), ModelOptions(min_count=1000, hidden_size=8))
    assert len(classifier.vocabulary.words) == 0
    classifier.loss(classifier.batch([["lovely", "film"]]), torch.tensor([1])).sum().backward()
    assert classifier.encoder.embedding.weight.grad[1].ne(0).any()


def test_balanced_labels_count_alike():
    labels = [0, 0, 0, 0, 1, 2, 2]
    weights = label_weights(torch.tensor(labels), 4)
    sums = [sum(float(weights[label]) for label in labels if label == kind) for kind in range(4)]
    assert sums == pytest.approx([7 / 4, 7 / 4, 7 / 4, 0])


def test_balanced_distributions_count_alike():
    """Each label has the same weight in all, where an example is so much of it as its distribution says."""
    shares = [[1.0, 0.0], [0.75, 0.25], [0.5, 0.5], [1.0, 0.0]]
    weights = label_weights(torch.tensor(shares), 2)
    sums = [sum(float(weights[label]) * share[label] for share in shares) for label in (0, 1)]
    assert sums == pytest.approx([2, 2])
    assert weights_of(torch.tensor(shares), weights).tolist() == pytest.approx(
        [sum(float(weights[label]) * share[label] for label in (0, 1)) for share in shares]
    )


def test_what_is_learned_of_examples():
    plain = [Example(("a",), 1), Example(("b",), 0)]
    assert targets_of(plain, 3).tolist() == [1, 0]
    graded = [*plain, Example(("c",), 2, (0.0, 0.25, 0.75))]
    assert targets_of(graded, 3).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0.25, 0.75]]


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("grades", [False, True])
def test_a_fit_minimises_the_loss_of_labels_or_distributions(
    sst_folder, tmp_path, monkeypatch, grades, balance
):
    """Each step's loss is the mean of −Σ p log q over its batch, each example by the weight of its labels."""
    seen = []
    decode = SentenceClassifier.decode
    loss = SentenceClassifier.loss

    def watched_decode(*given):
        logits = decode(*given)
        seen.append(logits.detach())
        return logits

    def watched(self, batch, targets):
        losses = loss(self, batch, targets)
        seen[-1] = (seen[-1], targets)
        return losses

    step, returned = Learner.training_step, []

    def watched_step(*given):
        returned.append(step(*given))
        return returned[-1]

    monkeypatch.setattr(SentenceClassifier, "decode", watched_decode)
    monkeypatch.setattr(SentenceClassifier, "loss", watched)
    monkeypatch.setattr(Learner, "training_step", watched_step)
    task = Sst(data=sst_folder, phrases=True, grades=grades)
    fit(task, options(tmp_path / "run", "none", epochs=1, balance=balance), QUIET)
    train = task.splits().train
    all_shares = [example.target or (1 - example.label, example.label) for example in train]
    weights = [len(train) / 2 / sum(shares[label] for shares in all_shares) for label in (0, 1)]
    steps = [entry for entry in seen if isinstance(entry, tuple)]
    assert len(steps) == len(returned) > 1
    for (logits, targets), result in zip(steps, returned, strict=True):
        wanted = 0.0
        for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
            shares = target if grades else [1 - target, target]
            log_total = math.log(sum(map(math.exp, row)))
            weight = sum(map(math.prod, zip(shares, weights, strict=True))) if balance else 1.0
            wanted += weight * sum(p * (log_total - y) for p, y in zip(shares, row, strict=True))
        assert float(result.detach()) == pytest.approx(wanted / len(logits), rel=1e-4)


def test_learning_rate_schedules():
    def rates(**given):
        return [learning_rate_factor(TrainingOptions(**given), 100)(step) for step in (0, 9, 10, 55, 100)]

    assert rates(schedule="linear", warmup=0.1) == pytest.approx([1 / 11, 10 / 11, 1, 0.5, 0])
    assert rates(schedule="cosine", warmup=0.1) == pytest.approx([1 / 11, 10 / 11, 1, 0.5, 0])
    assert rates(schedule="constant", warmup=0.0) == [1, 1, 1, 1, 1]


def test_command_line(sst_folder, tmp_path):
    """The commands as a user types them, in processes of their own."""
    run = tmp_path / "run"

    def trainer(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "trainer", *arguments], capture_output=True, text=True, check=False
        )

    data = ["--data", str(sst_folder)]
    small = ["--epochs", "1", "--hidden-size", "8", "--threads", "1", "--set", "step_size=0.5"]
    done = trainer("fit", "sst", "--estimator", "spigot", *data, *small, "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert "best dev accuracy" in done.stdout
    report = trainer("evaluate", str(run), "--split", "test", "--json", *data)
    assert report.returncode == 0, report.stderr
    assert set(json.loads(report.stdout)["accuracy"]) == {"map", "marginals", "sparsemap"}
    again = trainer("fit", "sst", "--estimator", "spigot", *data, *small, "--out", str(run))
    assert again.returncode == 1
    assert "--resume" in again.stderr
    assert "Traceback" not in again.stderr
    wrong = trainer("fit", "sst", "--estimator", "spiggot", *data)
    assert wrong.returncode == 2
    assert "spigot" in wrong.stderr + wrong.stdout
    assert trainer("fitt").returncode == 2


def test_two_processes_train_as_one(sst_folder, tmp_path):
    """Gloo processes under torchrun share each batch: the same weights and dev accuracy as one alone."""
    flags = "--estimator spigot --epochs 2 --batch-size 15 --hidden-size 8 --threads 1 --accelerator cpu"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    launch = f"-m torch.distributed.run --nproc-per-node 2 --master-addr 127.0.0.1 --master-port {port}"
    for name, before in (("one", []), ("two", launch.split())):
        where = ["--data", str(sst_folder), "--out", str(tmp_path / name)]
        command = [sys.executable, *before, "-m", "trainer", "fit", "sst", *flags.split(), *where]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / "state.ckpt", weights_only=True) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"]
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(tensor, two["state_dict"][name], rtol=1e-4, atol=1e-6, msg=name)
    alone, shared = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert alone["dev_accuracy"] == shared["dev_accuracy"]
