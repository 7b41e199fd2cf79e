import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from latent.estimators import ESTIMATORS
from latent.nn.classifier import label_losses

TREE_ESTIMATORS = [name for name, kind in ESTIMATORS.items() if not kind.categorical_only]
SENTENCES = [
    ["the", "film", "is", "good"],
    ["dull"],
    ["the", "plot", "was", "not", "bad", ",", "it", "was", "lovely"],
    ["a", "film"],
]
TARGETS = torch.tensor([1, 0, 1, 0])


@pytest.mark.parametrize("estimator", TREE_ESTIMATORS)
def test_a_batch_equals_its_sentences_one_by_one(make_classifier, estimator):
    classifier = make_classifier(estimator).double().eval()
    together = classifier(classifier.batch(SENTENCES))
    alone = torch.cat([classifier(classifier.batch([sentence])) for sentence in SENTENCES])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", TREE_ESTIMATORS)
def test_loss_trains_every_parameter(make_classifier, estimator):
    classifier = make_classifier(estimator).train()
    losses = classifier.loss(classifier.batch(SENTENCES), TARGETS)
    assert losses.shape == (4,)
    losses.mean().backward()
    for name, parameter in classifier.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert classifier.decoder.output.weight.grad.ne(0).any()


@pytest.mark.parametrize("estimator", ["marginals", "sparsemap", "ste-identity", "spigot"])
def test_the_parser_gets_a_gradient(make_classifier, estimator):
    classifier = make_classifier(estimator)
    classifier.loss(classifier.batch(SENTENCES), TARGETS).sum().backward()
    assert classifier.arc_scorer.ends.weight.grad.abs().max() > 0


@pytest.mark.parametrize("estimator", ["none", "marginals", "sparsemap", "spigot"])
def test_loss_is_cross_entropy_at_the_forward_structure(make_classifier, estimator):
    classifier = make_classifier(estimator)
    batch = classifier.batch(SENTENCES)
    wanted = cross_entropy(classifier(batch), TARGETS, reduction="none")
    torch.testing.assert_close(classifier.loss(batch, TARGETS), wanted)


def test_relaxed_loss_has_the_gradient_of_the_forward_pass(make_classifier):
    classifier = make_classifier("marginals").double()
    batch = classifier.batch(SENTENCES)
    parameters = list(classifier.parameters())
    ours = torch.autograd.grad(classifier.loss(batch, TARGETS).sum(), parameters)
    wanted = torch.autograd.grad(cross_entropy(classifier(batch), TARGETS, reduction="sum"), parameters)
    torch.testing.assert_close(ours, wanted)


def test_copies_of_a_batch_are_decoded_one_after_the_other(make_classifier):
    classifier = make_classifier()
    encoding = classifier.encode(classifier.batch(SENTENCES))
    best, expected = classifier.infer(encoding, "map"), classifier.infer(encoding, "marginals")
    both = classifier.decode(encoding, torch.cat([best, expected]))
    torch.testing.assert_close(both[:4], classifier.decode(encoding, best))
    torch.testing.assert_close(both[4:], classifier.decode(encoding, expected))


def test_the_tree_matters(make_classifier):
    classifier = make_classifier()
    encoding = classifier.encode(classifier.batch(SENTENCES))
    best = classifier.infer(encoding, "map")
    worst = classifier.structure.map(-encoding.scores, encoding.lengths)
    assert (classifier.decode(encoding, best) - classifier.decode(encoding, worst))[0].abs().max() > 1e-4


def test_baseline_has_no_trees(make_classifier):
    classifier = make_classifier("none")
    encoding = classifier.encode(classifier.batch(SENTENCES))
    assert encoding.scores is None
    assert classifier.arc_scorer is None
    assert classifier.forward_structure is None
    wanted = classifier.decoder.hidden(encoding.states[:, 1:].sum(1)).relu()
    torch.testing.assert_close(classifier.decode(encoding, None), classifier.decoder.output(wanted))
    with pytest.raises(ValueError, match="without trees takes structure None"):
        classifier.decode(encoding, torch.zeros(4, 9, 9))


def test_a_structure_is_needed(make_classifier):
    classifier = make_classifier("spigot")
    with pytest.raises(ValueError, match="needs a structure"):
        classifier.decode(classifier.encode(classifier.batch(SENTENCES)), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "spiggot"}, "no estimator is called 'spiggot'; there are .*spigot"),
        ({"structure": "cyclic"}, "no structure is called 'cyclic'"),
        ({"dropout": 1.0}, "dropout"),
        ({"hyperparameters": {"step_sise": 1.0}, "estimator": "spigot"}, "step_sise"),
    ],
)
def test_bad_options_are_named(make_classifier, options, message):
    with pytest.raises((ValidationError, ValueError), match=message):
        make_classifier(**options)


def test_losses_of_copies_are_held_against_labels_or_distributions():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    shares = torch.tensor([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.6, 0.0, 0.4]])
    wanted = [-float(shares[i % 3] @ logits[i].log_softmax(0)) for i in range(6)]
    assert label_losses(logits, shares).tolist() == pytest.approx(wanted)
    labels = torch.tensor([2, 0, 1])
    wanted = [-float(logits[i].log_softmax(0)[labels[i % 3]]) for i in range(6)]
    assert label_losses(logits, labels).tolist() == pytest.approx(wanted)
    assert label_losses(logits[:3], labels).tolist() == pytest.approx(wanted[:3])
