"""Non-projective trees against enumeration, the Laplacian, networkx and closed forms."""

from __future__ import annotations

import math
from functools import lru_cache

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from latent.structures import NonProjectiveTree
from tests.structures.enumeration import all_trees, as_matrices, is_tree
from tests.structures.trees import TreeContract

ROOTS = pytest.mark.parametrize("single_root", [True, False], ids=["single", "multiple"])


def random_scores(seed: int, batch: int, n: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(batch, n + 1, n + 1, generator=generator, dtype=torch.float64)


def heads_of(z: Tensor, n: int) -> list[int]:
    return z[: n + 1, 1 : n + 1].argmax(0).tolist()


@lru_cache
def matrices(n: int, single_root: bool) -> Tensor:
    """(trees, n+1, n+1): every tree on n words."""
    return as_matrices(all_trees(n, projective=False, single_root=single_root))


def values_of(trees: Tensor, scores: Tensor) -> Tensor:
    return torch.where(trees > 0, scores, 0).sum((1, 2))


class TestNonProjectiveTree(TreeContract):
    kind = NonProjectiveTree
    projective = False

    def count(self, n: int, *, single_root: bool) -> int:
        """Cayley 1889: n^(n-2) trees on n words with n choices of the root's child, or on n + 1 vertices."""
        return n ** (n - 1) if single_root else (n + 1) ** (n - 1)


def laplacian_marginals(scores: np.ndarray, single_root: bool) -> tuple[float, np.ndarray]:
    """Koo et al. 2007, in the form of their section 3: log determinant and inverse of the Laplacian."""
    n = scores.shape[0] - 1
    weights = np.exp(scores)
    arcs = weights[1:, 1:] * (1 - np.eye(n))
    root = weights[0, 1:]
    laplacian = np.diag(arcs.sum(0)) - arcs
    if single_root:
        laplacian[0] = root
    else:
        laplacian += np.diag(root)
    inverse = np.linalg.inv(laplacian)
    diagonal = np.diag(inverse)
    marginals = np.zeros((n + 1, n + 1))
    if single_root:
        not_first = np.arange(n) > 0
        marginals[0, 1:] = root * inverse[:, 0]
        marginals[1:, 1:] = arcs * (not_first * diagonal - (not_first[:, None] * inverse.T))
    else:
        marginals[0, 1:] = root * diagonal
        marginals[1:, 1:] = arcs * (diagonal - inverse.T)
    return float(np.linalg.slogdet(laplacian)[1]), marginals


@ROOTS
@pytest.mark.parametrize("n", [2, 9, 26])
def test_sums_agree_with_the_laplacian(n: int, single_root: bool) -> None:
    tree = NonProjectiveTree(single_root=single_root)
    scores = random_scores(n, 3, n)
    log_partition, marginals = tree.log_partition(scores), tree.marginals(scores)
    for b in range(3):
        log_z, mu = laplacian_marginals(scores[b].numpy(), single_root)
        assert log_partition[b].item() == pytest.approx(log_z, rel=1e-11)
        np.testing.assert_allclose(marginals[b].numpy(), mu, atol=1e-10)


@ROOTS
@pytest.mark.parametrize("kind", ["normal", "ties", "masked"])
def test_map_agrees_with_networkx(kind: str, single_root: bool) -> None:
    n, tree = 9, NonProjectiveTree(single_root=single_root)
    scores = random_scores(5, 6, n)
    if kind == "ties":
        scores = scores.round()
    if kind == "masked":
        scores[torch.rand(scores.shape, generator=torch.Generator().manual_seed(1)) < 0.5] = -torch.inf
        scores[:, torch.arange(n), torch.arange(1, n + 1)] = -3.0  # the chain remains
    best = tree.map(scores)
    for b in range(6):
        graph = nx.DiGraph()
        penalty = 1e3 if single_root else 0.0  # a second root arc never pays
        for h in range(n + 1):
            for m in range(1, n + 1):
                if h != m and scores[b, h, m] > -torch.inf:
                    graph.add_edge(h, m, weight=scores[b, h, m].item() - (penalty if h == 0 else 0.0))
        other = nx.maximum_spanning_arborescence(graph)
        value = sum(w for _, _, w in other.edges(data="weight")) + penalty
        heads = heads_of(best[b], n)
        assert is_tree(heads)
        assert not single_root or heads.count(0) == 1
        assert sum(scores[b, h, m + 1].item() for m, h in enumerate(heads)) == pytest.approx(value)


@ROOTS
@pytest.mark.parametrize("scale", [30.0, 1000.0])
def test_log_space_agrees_with_a_common_factor_taken_out(scale: float, single_root: bool) -> None:
    """At huge scores the Gibbs distribution lives on few trees: enumerate the best and sum over them."""
    n, tree = 7, NonProjectiveTree(single_root=single_root)
    scores = random_scores(11, 4, n, scale)
    log_z, marginals = tree.log_partition(scores), tree.marginals(scores)
    for b, best in enumerate(tree.kbest(scores, None, 200)):
        values = torch.tensor([value for value, _ in best], dtype=torch.float64)
        assert values[-1] < values[0] - 40  # the rest weighs nothing
        assert log_z[b].item() == pytest.approx(values.logsumexp(0).item(), rel=1e-12)
        expected = torch.zeros(n + 1, n + 1, dtype=torch.float64)
        for weight, (_, heads) in zip(values.softmax(0), best, strict=True):
            expected[heads, range(1, n + 1)] += weight
        torch.testing.assert_close(marginals[b], expected, atol=1e-9, rtol=0)


def test_a_single_root_that_only_one_word_allows() -> None:
    """Words 1 and 2 form a source that 3 and 4 cannot reach; 4, which the root likes, cannot be its child."""
    scores = torch.full((1, 5, 5), -torch.inf, dtype=torch.float64)
    arcs = {(0, 1): 0.0, (0, 2): -1.0, (0, 4): 50.0, (1, 2): 0.0, (2, 1): 2.0, (2, 3): 1.0, (3, 4): 0.0}
    for (h, m), score in arcs.items():
        scores[0, h, m] = score
    tree = NonProjectiveTree(single_root=True)
    # Two trees: 0→1→2→3→4 worth 1 and 0→2→1, 2→3→4 worth 2.
    assert heads_of(tree.map(scores)[0], 4) == [2, 0, 2, 3]
    assert tree.kbest(scores, None, 5) == [[(2.0, [2, 0, 2, 3]), (1.0, [0, 1, 2, 3])]]
    assert tree.log_partition(scores).item() == pytest.approx(math.log(math.e**2 + math.e))
    share = math.e / (math.e + 1)
    marginals = tree.marginals(scores)[0]
    assert marginals[0].tolist() == pytest.approx([0.0, 1 - share, share, 0.0, 0.0])
    draws = tree.sample(scores.expand(2000, 5, 5).contiguous(), generator=torch.Generator().manual_seed(0))
    assert draws[:, 0, 4].sum() == 0
    assert draws[:, 0, 2].mean().item() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 2000))


@st.composite
def sentences(draw: st.DrawFn) -> tuple[Tensor, bool]:
    """Scores of up to 4 words out of few values, so that ties, masks and gaps meet; some tree is left."""
    n, single_root = draw(st.integers(1, 4)), draw(st.booleans())
    value = st.sampled_from([0.0, 1.0, -0.5, 1e-8, 40.0, 1e4, -1e4, -math.inf])
    flat = draw(st.lists(value, min_size=(n + 1) ** 2, max_size=(n + 1) ** 2))
    scores = torch.tensor(flat, dtype=torch.float64).view(n + 1, n + 1)
    chain = draw(st.permutations(range(1, n + 1)))
    for head, modifier in zip([0, *chain], chain, strict=False):
        scores[head, modifier] = scores[head, modifier].clamp(min=-1e4)
    return scores, single_root


@given(sentences())
@settings(max_examples=150, deadline=None)
def test_everything_agrees_with_enumeration_under_any_scores(case: tuple[Tensor, bool]) -> None:
    scores, single_root = case
    n, tree = len(scores) - 1, NonProjectiveTree(single_root=single_root)
    trees = matrices(n, single_root)
    batch, values = scores[None].requires_grad_(), values_of(trees, scores.detach())
    allowed = values > -math.inf

    best_score = tree.score(scores[None], tree.map(batch)).item()  # a sum in another order: round-off
    assert best_score == pytest.approx(values.max().item(), rel=1e-12)
    best = tree.kbest(batch, None, 20)[0]
    expected = values[allowed].sort(descending=True).values[:20].tolist()
    assert [value for value, _ in best] == pytest.approx(expected, abs=1e-9)
    assert len({tuple(heads) for _, heads in best}) == len(best)
    assert all(is_tree(heads) and (not single_root or heads.count(0) == 1) for _, heads in best)

    log_z = tree.log_partition(batch)
    assert log_z.item() == pytest.approx(values.logsumexp(0).item(), rel=1e-12, abs=1e-10)  # of 1e4
    probabilities = values.softmax(0)
    mu = torch.einsum("t,tij->ij", probabilities, trees)
    torch.testing.assert_close(tree.marginals(batch)[0].detach(), mu, atol=1e-10, rtol=0)
    direction = torch.randn(n + 1, n + 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    along = values_of(trees, direction)
    derivative = torch.einsum("t,tij->ij", probabilities * (along - probabilities @ along), trees)
    (gradient,) = torch.autograd.grad((tree.marginals(batch) * direction).sum(), batch)
    torch.testing.assert_close(gradient[0], derivative, atol=1e-9, rtol=0)
    entropy = torch.special.entr(probabilities).sum()
    assert tree.entropy(batch).item() == pytest.approx(entropy.item(), abs=1e-8)

    projection = tree.sparsemap(batch).detach()[0]
    residual = torch.where(scores > -math.inf, scores.detach() - projection, scores.detach())
    reached = torch.where(projection > 0, residual * projection, 0).sum()
    gap = values_of(trees, residual).max() - reached
    assert gap <= 1e-10 * max(1.0, values[allowed].abs().max().item())
    assert (projection[scores == -math.inf] == 0).all()


HEAVY_CYCLE = [
    [0.0, -1.0, 0.5, 0.2],
    [0.0, 0.0, 1000.0, 1.0],
    [0.0, 1000.0, 0.0, -0.3],
    [0.0, 0.7, 0.1, 0.0],
]
"""Words 1 and 2 head each other in all likelihood: exp of these scores exceeds a double."""


@ROOTS
@pytest.mark.parametrize("kind", ["normal", "heavy cycle"])
def test_samples_follow_the_gibbs_distribution(kind: str, single_root: bool) -> None:
    scores = random_scores(2, 1, 3)[0] if kind == "normal" else torch.tensor(HEAVY_CYCLE, dtype=torch.float64)
    draws, tree = 20_000, NonProjectiveTree(single_root=single_root)
    z = tree.sample(scores.expand(draws, 4, 4), generator=torch.Generator().manual_seed(7))
    trees = matrices(3, single_root)
    which = (z[:, None] == trees).all(-1).all(-1)
    assert (which.sum(1) == 1).all()
    expected = draws * values_of(trees, scores).softmax(0)
    likely = expected > 5
    assert which[:, ~likely].sum() <= 10 * max(1.0, expected[~likely].sum().item())
    observed = which.sum(0)[likely].double()
    assert chisquare(observed, expected[likely] * (observed.sum() / expected[likely].sum())).pvalue > 1e-3


@pytest.mark.parametrize("operation", ["sample", "marginals", "map", "sparsemap"])
def test_the_number_of_threads_changes_nothing(operation: str) -> None:
    scores, lengths = random_scores(3, 40, 24).float(), torch.arange(1, 41).clamp(max=24)
    tree, before, results = NonProjectiveTree(single_root=True), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            options = {"generator": torch.Generator().manual_seed(1)} if operation == "sample" else {}
            results.append(getattr(tree, operation)(scores, lengths, **options))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(result, results[0]) for result in results)


@ROOTS
@pytest.mark.parametrize("kind", ["normal", "masked", "heavy cycle"])
def test_derivatives_of_both_orders(kind: str, single_root: bool) -> None:
    scores = random_scores(4, 1, 3)
    if kind == "masked":
        scores[0, 1, 2] = scores[0, 0, 3] = -math.inf
    if kind == "heavy cycle":
        scores = torch.tensor([HEAVY_CYCLE], dtype=torch.float64)
    arcs = torch.isfinite(scores) & NonProjectiveTree(single_root=True).mask(scores)
    tree, free = NonProjectiveTree(single_root=single_root), scores[arcs].requires_grad_()

    def log_partition(values: Tensor) -> Tensor:
        return tree.log_partition(scores.masked_scatter(arcs, values))

    assert gradcheck(lambda values: tree.marginals(scores.masked_scatter(arcs, values)), free, atol=2e-5)
    assert gradcheck(log_partition, free, atol=2e-5)
    assert gradgradcheck(log_partition, free, atol=2e-5)


@ROOTS
def test_single_precision_up_to_weights_that_it_cannot_bear(single_root: bool) -> None:
    """Ways out of cycles within cycles, e^-30 to e^-120: what underflows decides here and there."""
    n, tree, trees = 4, NonProjectiveTree(single_root=single_root), matrices(4, single_root)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(5, (20000, n + 1, n + 1), generator=generator)
    scores = torch.tensor([0.0, 30.0, -30.0, 60.0, -60.0])[chosen]
    scores += torch.randn(scores.shape, generator=generator)
    direction = torch.randn(scores.shape, generator=generator)
    leaf = scores.clone().requires_grad_()
    marginals = tree.marginals(leaf)
    (slope,) = torch.autograd.grad(marginals, leaf, direction)
    flat = trees.flatten(1)
    p = (scores.double().flatten(1) @ flat.T).softmax(1)
    along = direction.double().flatten(1) @ flat.T
    along -= (p * along).sum(1, keepdim=True)
    torch.testing.assert_close(marginals.double().flatten(1), p @ flat, atol=3e-6, rtol=0)
    torch.testing.assert_close(slope.double().flatten(1), (p * along) @ flat, atol=1e-5, rtol=0)


def test_long_sentences_with_confident_scores() -> None:
    """Where a random walk would never end and a determinant in floating point has lost all digits."""
    tree, scores = NonProjectiveTree(single_root=True), random_scores(9, 2, 60, scale=50.0)
    marginals = tree.marginals(scores)
    torch.testing.assert_close(
        marginals.sum(1)[:, 1:], torch.ones(2, 60, dtype=torch.float64), atol=1e-10, rtol=0
    )
    assert marginals.min() >= 0
    z = tree.sample(scores, generator=torch.Generator().manual_seed(0))
    assert (tree.score(scores, z) <= tree.score(scores, tree.map(scores)) + 1e-9).all()
    assert all(is_tree(heads_of(z[b], 60)) for b in range(2))
    assert (z[:, 0].sum(1) == 1).all()
