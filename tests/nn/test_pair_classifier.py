import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from untrained_pairs import heed_heads

from latent.estimators import ESTIMATORS
from latent.nn.checkpoint import load, save
from latent.nn.pair_classifier import SENTENCES_ONLY, PairClassifier, PairConfig
from latent.nn.pair_structure import PairStructure
from latent.structures import ProjectiveTree
from latent.text import Vocabulary

PAIR_ESTIMATORS = [
    name for name, kind in ESTIMATORS.items() if not kind.categorical_only and name not in SENTENCES_ONLY
]
WORDS = ["a", "man", "dog", "runs", "sleeps", "the", "outside"]
PAIRS = [
    (["a", "man", "runs", "outside"], ["the", "dog", "sleeps"]),
    (["dog"], ["a", "dog", "runs", "outside", "the", "man"]),
    (["the", "man", "sleeps"], ["man"]),
]
TARGETS = torch.tensor([0, 2, 1])


@pytest.fixture
def make_pairs():
    """Build a small classifier of pairs, the same every time."""

    def make(estimator="marginals", **options):
        torch.manual_seed(0)
        config = PairConfig(
            estimator=estimator, embedding_size=6, hidden_size=8, **{"dropout": 0.0, **options}
        )
        classifier = PairClassifier(config, Vocabulary(WORDS), ["entailment", "neutral", "contradiction"])
        return heed_heads(classifier)

    return make


def test_training_starts_from_the_model_without_trees():
    """Whatever the tree, at first; with the same weights on words as many classifiers without trees have."""
    torch.manual_seed(0)
    config = PairConfig(estimator="marginals", embedding_size=6, hidden_size=50, dropout=0.0)
    classifier = PairClassifier(config, Vocabulary(WORDS), ["entailment", "neutral"])
    encoding = classifier.encode(classifier.batch(PAIRS))
    best, expected = classifier.infer(encoding, "map"), classifier.infer(encoding, "marginals")
    assert torch.equal(classifier.decode(encoding, best), classifier.decode(encoding, expected))
    own = classifier.decoder.compare.first.weight.view(50, 4, 2, 50)[:, :, 0]
    assert own.std().item() == pytest.approx((2 / (4 * 50)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("estimator", ["none", "marginals", "sparsemap", "spigot"])
def test_a_batch_equals_its_pairs_one_by_one(make_pairs, estimator):
    classifier = make_pairs(estimator).double().eval()
    together = classifier(classifier.batch(PAIRS))
    alone = torch.cat([classifier(classifier.batch([pair])) for pair in PAIRS])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", PAIR_ESTIMATORS)
def test_every_estimator_trains(make_pairs, estimator):
    classifier = make_pairs(estimator).train()
    losses = classifier.loss(classifier.batch(PAIRS), TARGETS)
    assert losses.shape == (3,)
    losses.mean().backward()
    for name, parameter in classifier.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(("estimator", "head_scale"), [("none", 1.0), ("marginals", 1.0), ("spigot", 0.3)])
def test_decoder_is_the_papers_formula(make_pairs, estimator, head_scale):
    """One pair without padding, word by word."""
    classifier = make_pairs(estimator, head_scale=head_scale).double().eval()
    decoder = classifier.decoder
    encoding = classifier.encode(classifier.batch([PAIRS[0]]))
    structure = classifier.infer(encoding, classifier.forward_structure)
    a, b = (
        torch.stack([word_with_head(encoding, structure, 0, side, m, head_scale) for m in range(1, n + 1)])
        for side, n in enumerate(encoding.lengths[0])
    )
    scores = decoder.align(a) @ decoder.align(b).T / 8**0.5

    def compare(x, y):
        return decoder.compare(torch.cat([x, y, x - y, x * y]))

    one = sum(compare(a[i], scores[i].softmax(0) @ b) for i in range(4))
    other = sum(compare(b[j], scores[:, j].softmax(0) @ a) for j in range(3))
    wanted = decoder.output(decoder.aggregate(torch.cat([one, other])))
    torch.testing.assert_close(classifier.decode(encoding, structure)[0], wanted)


@pytest.mark.parametrize("estimator", ["none", "marginals", "spigot"])
@torch.no_grad()
def test_the_alignment_is_the_softmax_that_the_decoder_reads(make_pairs, estimator):
    """Word by word, each pair alone; in the batch what lies past a sentence's end is zero."""
    classifier = make_pairs(estimator).double().eval()
    encoding = classifier.encode(classifier.batch(PAIRS))
    structure = classifier.infer(encoding, classifier.forward_structure)
    logits, alignment = classifier.decode_aligned(encoding, structure)
    assert torch.equal(logits, classifier.decode(encoding, structure))
    wanted = torch.zeros(3, 2, 6, 6, dtype=torch.float64)
    for b, pair in enumerate(PAIRS):
        words = [[word_with_head(encoding, structure, b, side, m) for m in range(1, len(sentence) + 1)]
                 for side, sentence in enumerate(pair)]  # fmt: skip
        keys = [[classifier.decoder.align(word) for word in side] for side in words]
        for side in (0, 1):
            for i, query in enumerate(keys[side]):
                weights = [math.exp(float(query @ key) / 8**0.5) for key in keys[1 - side]]
                for j, weight in enumerate(weights):
                    wanted[b, side, i, j] = weight / sum(weights)
    torch.testing.assert_close(alignment, wanted)


def word_with_head(encoding, structure, b, side, modifier, head_scale=1.0):
    states = encoding.states[b, side]
    if structure is None:
        return states[modifier]
    head = sum(structure[b, side, h, modifier] * states[h] for h in range(len(states)))
    return torch.cat([states[modifier], head_scale * head])


def test_padding_never_reaches_the_alignment(make_pairs):
    classifier = make_pairs().eval()
    batch = classifier.batch(PAIRS)
    encoding = classifier.encode(batch)
    structure = classifier.infer(encoding, "marginals")
    clean = classifier.decode_aligned(encoding, structure)
    inside = torch.arange(7) <= batch.lengths.unsqueeze(-1)
    noise = torch.where(inside.unsqueeze(-1), encoding.states, torch.full_like(encoding.states, 1e3))
    projected = classifier.decoder.project(noise)
    noisy = classifier.decode_aligned(encoding._replace(projected=projected), structure)
    torch.testing.assert_close(noisy.alignment, clean.alignment)
    torch.testing.assert_close(noisy.logits, clean.logits)
    rows = clean.alignment.sum(-1)
    torch.testing.assert_close(rows, (torch.arange(6) < batch.lengths.unsqueeze(-1)).float())


def test_copies_are_decoded_one_after_the_other(make_pairs):
    classifier = make_pairs().eval()
    encoding = classifier.encode(classifier.batch(PAIRS))
    best, expected = classifier.infer(encoding, "map"), classifier.infer(encoding, "marginals")
    both = classifier.decode(encoding, torch.cat([best, expected]))
    torch.testing.assert_close(both[:3], classifier.decode(encoding, best))
    torch.testing.assert_close(both[3:], classifier.decode(encoding, expected))


def test_gamma_is_that_of_the_pairs_loss(make_pairs):
    """Both trees of a pair share one loss: weighting one example's loss scales its two gradients alone."""
    classifier = make_pairs("spigot", hyperparameters={"step_size": 0.3}).double()
    batch = classifier.batch(PAIRS)
    gradients = []
    for weights in (torch.ones(3), torch.tensor([1.0, 5.0, 1.0])):
        encoding = classifier.encode(batch)
        scores = encoding.scores.detach().requires_grad_()

        def downstream(z, encoding=encoding):
            logits = classifier.decode(encoding, z)
            return torch.nn.functional.cross_entropy(logits, TARGETS, reduction="none")

        losses = classifier.estimator.loss(scores, batch.lengths, downstream)
        gradients.append(torch.autograd.grad(losses @ weights.double(), scores)[0])
    scale = torch.tensor([1.0, 5.0, 1.0], dtype=torch.float64).view(3, 1, 1, 1)
    torch.testing.assert_close(gradients[1], scale * gradients[0])
    assert gradients[0].flatten(1).abs().sum(1).gt(0).any()


def test_round_trip(make_pairs, tmp_path):
    classifier = make_pairs("sparsemap").eval()
    path = save(tmp_path / "m.safetensors", classifier, metrics={}, seed=0, training={"task": "snli"})
    checkpoint = load(path)
    assert checkpoint.header.kind == "pair"
    classifier.encoder.embedding.weight.data = classifier.encoder.embedding.weight.data.half().float()
    wanted = classifier(classifier.batch(PAIRS))
    assert torch.equal(checkpoint.classifier(checkpoint.classifier.batch(PAIRS)), wanted)


def test_an_estimator_for_single_sentences_is_refused(make_pairs):
    with pytest.raises(ValidationError, match="'sparse-expectation' takes single sentences only"):
        make_pairs("sparse-expectation")


def test_pairs_need_words(make_pairs):
    classifier = make_pairs()
    for pairs in ([], [(["a"], [])]):
        with pytest.raises(ValueError, match="at least one word"):
            classifier.batch(pairs)


@pytest.fixture
def product():
    """A pair structure, scores for it, and lengths."""
    torch.manual_seed(3)
    scores = torch.randn(3, 2, 5, 5, dtype=torch.float64)
    return PairStructure(ProjectiveTree(single_root=True)), scores, torch.tensor([[4, 2], [1, 3], [2, 2]])


def trees(n):
    """All head lists of n words that are projective trees with one root."""
    for heads in itertools.product(range(n + 1), repeat=n):
        if heads.count(0) != 1 or any(head == word for word, head in enumerate(heads, 1)):
            continue
        arcs = [(min(h, m), max(h, m)) for m, h in enumerate(heads, 1)]
        crossing = any(a < c < b < d for (a, b), (c, d) in itertools.permutations(arcs, 2))
        if not crossing and all(reaches_root(heads, word) for word in range(1, n + 1)):
            yield list(heads)


def reaches_root(heads, word):
    for _ in heads:
        word = heads[word - 1] if word else 0
    return word == 0


def pairs_of(scores, lengths):
    """All pairs of trees of one example, with their scores."""
    for left in trees(lengths[0]):
        for right in trees(lengths[1]):
            arcs = [(0, h, m) for m, h in enumerate(left, 1)] + [(1, h, m) for m, h in enumerate(right, 1)]
            yield sum(float(scores[arc]) for arc in arcs), [*left, *right]


def test_the_product_against_all_pairs_of_trees(product):
    structure, scores, lengths = product
    for b, both in enumerate(lengths.tolist()):
        pairs = sorted(pairs_of(scores[b], both), key=lambda pair: -pair[0])
        values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
        one, size = scores[b : b + 1], lengths[b : b + 1]
        torch.testing.assert_close(structure.log_partition(one, size)[0], values.logsumexp(0))
        probabilities = values.softmax(0)
        entropy = -(probabilities * probabilities.log()).sum()
        torch.testing.assert_close(structure.entropy(one, size)[0], entropy)
        best = structure.kbest(one, size, 3)[0]
        assert [heads for _, heads in best] == [heads for _, heads in pairs[: len(best)]]
        torch.testing.assert_close(structure.score(one, structure.map(one, size), size)[0], values[0])


def test_support_mixes_to_the_projection(product):
    structure, scores, lengths = product
    mu = structure.sparsemap(scores, lengths)
    for b, support in enumerate(structure.support(scores, lengths)):
        assert sum(weight for weight, _ in support) == pytest.approx(1)
        assert [weight for weight, _ in support] == sorted((weight for weight, _ in support), reverse=True)
        mixed = torch.zeros_like(mu[b])
        for weight, heads in support:
            first = int(lengths[b, 0])
            for side, part in enumerate((heads[:first], heads[first:])):
                for word, head in enumerate(part, 1):
                    mixed[side, head, word] += weight
        torch.testing.assert_close(mixed, mu[b], atol=1e-6, rtol=0)


def test_the_product_names_the_shapes(product):
    structure, scores, lengths = product
    with pytest.raises(ValueError, match=r"map: scores must be \(batch, 2, n\+1, n\+1\); got \(3, 5, 5\)"):
        structure.map(scores[:, 0], lengths)
    with pytest.raises(ValueError, match=r"lengths must be \(batch, 2\)"):
        structure.map(scores, lengths[:, 0])
