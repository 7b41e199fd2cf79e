"""The projection on the choices of heads, against all choices of short sentences and a criterion for long."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from latent.structures import NonProjectiveTree, ProjectiveTree
from latent.structures.head_choices import choose_heads
from latent.structures.near_projection import project_near

from .enumeration import as_matrices, project


def all_choices(n, single_root):
    """Every choice of a head for every word, trees or not; single root: exactly one word has the root."""
    heads = product(*[[h for h in range(n + 1) if h != m] for m in range(1, n + 1)])
    kept = [choice for choice in heads if not single_root or choice.count(0) == 1]
    return as_matrices(np.array(kept))


def best_choice(values, single_root):
    """max ⟨values, x⟩ over the choices of heads: each word's best, but for the one that has the root."""
    words = values[1:, 1:].clone().fill_diagonal_(-torch.inf).amax(0)
    if not single_root:
        return torch.maximum(words, values[0, 1:]).sum()
    return words.sum() + (values[0, 1:] - words).max()


@pytest.mark.parametrize("single_root", [True, False])
@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_nearest_mixture_of_all_choices(n, scale, single_root):
    generator = torch.Generator().manual_seed(n)
    point = scale * torch.randn(40, n + 1, n + 1, generator=generator, dtype=torch.float64) + 1 / n
    arcs = ProjectiveTree(single_root=single_root).mask(point)
    shifted, sure = choose_heads(point, arcs, single_root)
    choices = all_choices(n, single_root)
    assert sure.float().mean() > 0.5
    for b in sure.nonzero().flatten():
        want = project(choices, torch.where(arcs[b], point[b], 0)).view(n + 1, n + 1)
        torch.testing.assert_close(shifted[b].relu(), want, atol=1e-6, rtol=0)


@pytest.mark.parametrize("single_root", [True, False])
@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
def test_nothing_in_a_long_sentence_is_nearer(scale, single_root):
    r"""t is the projection of q where $\langle q - t, x - t\rangle \le 0$ for all choices x."""
    generator = torch.Generator().manual_seed(0)
    point = scale * torch.randn(6, 41, 41, generator=generator, dtype=torch.float64)
    arcs = ProjectiveTree(single_root=single_root).mask(point)
    shifted, sure = choose_heads(point, arcs, single_root)
    assert sure.all()
    for q, t in zip(torch.where(arcs, point, 0), shifted.relu(), strict=True):
        torch.testing.assert_close(t.sum(0)[1:], torch.ones(40, dtype=torch.float64))
        if single_root:
            assert t[0].sum().item() == pytest.approx(1)
        assert best_choice(q - t, single_root) <= ((q - t) * t).sum() + 1e-9


@pytest.mark.parametrize("kind", [ProjectiveTree, NonProjectiveTree])
@pytest.mark.parametrize("single_root", [True, False])
def test_what_is_proved_without_an_active_set(kind, single_root):
    """Small steps from even marginals are proved at once, larger ones by marginals that are tilted."""
    structure = kind(single_root=single_root)
    generator = torch.Generator().manual_seed(1)
    scores = 0.3 * torch.randn(8, 13, 13, generator=generator, dtype=torch.float64)
    arcs, marginals, calls = structure.mask(scores), structure.marginals(scores), []

    def marginals_of(tilted):
        calls.append(1)
        return structure.marginals(tilted)

    for size, tol, most in ((0.01, 1e-3, 0), (0.1, 1e-3, 3), (0.1, 1e-4, 6)):
        step = torch.randn(scores.shape, generator=generator, dtype=torch.float64) * arcs
        step *= size / step.flatten(1).norm(dim=1)[:, None, None]
        point = marginals + step
        calls.clear()
        mu, proved = project_near(point, scores, marginals, arcs, single_root, tol, marginals_of)
        assert proved.all()
        assert len(calls) <= most
        assert bool(calls) == bool(most)
        exact = structure.sparsemap(point, tol=1e-13)
        torch.testing.assert_close(mu, exact, atol=1e-6, rtol=0)


def test_a_projection_outside_of_the_trees_is_not_proved():
    """Two words that choose each other are no tree: what is nearest among choices proves nothing."""
    structure = ProjectiveTree(single_root=False)
    scores = torch.zeros(1, 3, 3, dtype=torch.float64)
    marginals, arcs = structure.marginals(scores), structure.mask(scores)
    point = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]], dtype=torch.float64)
    mu, proved = project_near(point, scores, marginals, arcs, False, 1e-3, structure.marginals)
    assert not proved.any()
    torch.testing.assert_close(mu, point)
    torch.testing.assert_close(
        structure.project(point, None, (scores, marginals), tol=1e-9), structure.sparsemap(point, tol=1e-9)
    )


@pytest.mark.parametrize("tol", [0.01, 0.1, 1.0, 2.0])
def test_what_is_proved_holds(tol):
    """Far outside the trees too, where marginals near the projection on the choices say little."""
    structure = ProjectiveTree(single_root=True)
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(2000, 4, 4, generator=generator, dtype=torch.float64)
    marginals, arcs = structure.marginals(scores), structure.mask(scores)
    point = marginals + 5 * torch.randn(scores.shape, generator=generator, dtype=torch.float64)
    mu, proved = project_near(point, scores, marginals, arcs, True, tol, structure.marginals)
    assert proved.any()
    error = (mu - structure.sparsemap(point, tol=1e-12)).square().flatten(1).sum(1)
    assert (error[proved] <= tol).all()
