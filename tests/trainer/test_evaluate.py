import json

import numpy as np
import pytest
from scipy.stats import binomtest

from latent.nn.checkpoint import save
from trainer.__main__ import main
from trainer.build import build
from trainer.conllu import read_heads
from trainer.errors import UserError
from trainer.evaluate import evaluate
from trainer.metrics import accuracy_interval, calibration_error, confusion_matrix
from trainer.options import ModelOptions
from trainer.tasks.sst import Sst


@pytest.mark.parametrize(("right", "total"), [(80, 100), (0, 20), (872, 872), (1, 3)])
def test_interval_is_wilsons(right, total):
    wanted = binomtest(right, total).proportion_ci(method="wilson")
    assert accuracy_interval(right, total) == pytest.approx((wanted.low, wanted.high))


def test_calibration_error_of_a_case_worked_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.35, 0.65]])
    labels = np.array([0, 1, 1, 1])
    # bin of 0.9: confidence 0.9, right 1 of 2; bins of 0.6 and 0.65 are one bin of ten: right 2 of 2
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(0.5 * 0.4 + 0.5 * 0.375)
    assert calibration_error(np.eye(2)[[0, 1]], np.array([0, 1])) == 0


def test_confusion_matrix_has_true_labels_in_rows():
    table = confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 3)
    assert table == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


@pytest.fixture
def small(sst_folder):
    """An untrained classifier and its task."""
    task = Sst(data=sst_folder)
    return build(task, task.splits(), ModelOptions(estimator="spigot", hidden_size=8, embedding_size=6)), task


def test_a_report_agrees_with_classifying_one_by_one(small):
    classifier, task = small
    examples = task.splits().test
    report = evaluate(classifier, examples)
    right = np.zeros(3, dtype=int)
    confusion = np.zeros((2, 2), dtype=int)
    for index, example in enumerate(examples):
        encoding = classifier.encode(classifier.batch([example.text]))
        for column, name in enumerate(("map", "marginals", "sparsemap")):
            structure = classifier.infer(encoding, name)
            predicted = int(classifier.decode(encoding, structure).argmax())
            right[column] += predicted == example.label
            if name == "map":
                confusion[example.label, predicted] += 1
                assert report.heads[index] == [structure[0].argmax(0)[1:].tolist()]
    assert list(report.accuracy.values()) == pytest.approx(right / len(examples))
    assert report.confusion == confusion.tolist()
    assert report.trained == "map"
    assert report.trees["trees"] == report.examples == len(examples)


def test_a_classifier_without_trees(sst_folder):
    task = Sst(data=sst_folder)
    classifier = build(task, task.splits(), ModelOptions(estimator="none", hidden_size=8))
    report = evaluate(classifier, task.splits().test)
    assert list(report.accuracy) == ["none"]
    assert report.trees is None
    assert report.heads == []
    with pytest.raises(UserError, match="no examples"):
        evaluate(classifier, [])


def test_trees_as_conllu(small, tmp_path, capsys):
    classifier, task = small
    save(tmp_path / "model.safetensors", classifier, metrics={}, seed=0, training={"task": "sst"})
    trees = tmp_path / "trees.conllu"
    flags = ["--split", "test", "--data", str(task.data), "--conllu", str(trees)]
    assert main(["evaluate", str(tmp_path), *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == len(task.splits().test)
    with trees.open() as file:
        sentences = read_heads(file)
    assert [tuple(tokens) for tokens, _ in sentences] == [example.text for example in task.splits().test]
    assert [[heads] for _, heads in sentences] == evaluate(classifier, task.splits().test).heads
    assert main(["evaluate", str(tmp_path), *flags]) == 0
    assert "95 % interval" in capsys.readouterr().out


def test_a_checkpoint_of_another_task_is_refused(small, tmp_path, capsys):
    save(tmp_path / "model.safetensors", small[0], metrics={}, seed=0, training={"task": "weather"})
    assert main(["evaluate", str(tmp_path)]) == 1
    assert "trained on 'weather', which is no task" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "nowhere")]) == 1
    assert "no such file" in capsys.readouterr().err
