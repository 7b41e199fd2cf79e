"""The categorical structure, against the contract and independent formulas."""

import pytest
import torch

from latent.structures import Categorical
from tests.structures.contract import StructureContract


@pytest.fixture(params=["rows", "columns"])
def layout(request):
    """Puts scores into memory row by row, or choice by choice."""
    return torch.Tensor.contiguous if request.param == "rows" else lambda s: s.mT.contiguous().mT


class TestCategorical(StructureContract):
    @pytest.fixture
    def structure(self):
        return Categorical()

    def batch(self, seed, scale=1.0):
        generator = torch.Generator().manual_seed(seed)
        return scale * torch.randn(4, 7, generator=generator, dtype=torch.float64), None

    def structures(self, structure, scores, lengths, b):
        return torch.eye(7, dtype=torch.float64)

    def item(self, structure, entry, like):
        return torch.eye(len(like), dtype=torch.float64)[entry[0]]

    @pytest.mark.parametrize("alpha", [1.0, 1.2, 1.5, 2.0, 3.0])
    def test_entmax_is_optimal(self, structure, alpha):
        scores = 2 * self.batch(0)[0]
        p = structure.entmax(scores, alpha=alpha)
        torch.testing.assert_close(p.sum(1), torch.ones(4, dtype=torch.float64))
        # The gradient of p·s + H_α(p) is the same for all of the support and no larger elsewhere.
        slope = scores - (p.log() if alpha == 1 else p.pow(alpha - 1) / (alpha - 1))
        on = torch.where(p > 0, slope, torch.nan)
        threshold = on.nanmean(1, keepdim=True)
        assert ((on - threshold).nan_to_num().abs() < 1e-9).all()
        assert (slope <= threshold + 1e-9).all()
        if alpha >= 1.5:
            assert (p == 0).any()

    @pytest.mark.parametrize("alpha", [1.3, 1.5, 2.0])
    def test_entmax_has_its_exact_jacobian(self, structure, alpha):
        scores = self.batch(1)[0].requires_grad_()
        assert torch.autograd.gradcheck(lambda s: structure.entmax(s, alpha=alpha), scores, atol=1e-6)

    def test_sparsemax_is_the_formula_by_sorting(self, structure, layout):
        scores = self.narrow(0)
        # τ is the largest of (s₁ + … + s_k - 1) / k, scores in falling order (Held et al. 1974).
        kept = torch.where(scores.isinf(), -1e9, scores)
        falling = kept.sort(1, descending=True).values
        tau = ((falling.cumsum(1) - 1) / torch.arange(1, 6)).amax(1, keepdim=True)
        want = (kept - tau).clamp(min=0)
        torch.testing.assert_close(structure.sparsemap(layout(scores)), want, rtol=0, atol=1e-12)
        single = structure.sparsemap(layout(scores.float()))
        torch.testing.assert_close(single, want.float(), rtol=0, atol=1e-6)

    def test_layout_does_not_matter(self, structure, layout):
        scores = self.narrow(1)
        given = layout(scores)
        for operation in (structure.map, structure.marginals, structure.sparsemap):
            assert operation(given).stride() == given.stride()
            torch.testing.assert_close(operation(given), operation(scores))
        drawn = [structure.sample(s, None, torch.Generator().manual_seed(0)) for s in (given, scores)]
        assert torch.equal(*drawn)
        finite = layout(torch.randn(3, 4, dtype=torch.float64)).requires_grad_()
        assert torch.autograd.gradcheck(structure.sparsemap, finite)
        assert torch.autograd.gradcheck(structure.marginals, finite)

    def test_the_first_of_equal_scores_is_the_best(self, structure, layout):
        scores = self.narrow(2)
        want = torch.nn.functional.one_hot(torch.tensor([row.index(max(row)) for row in scores.tolist()]), 5)
        assert torch.equal(structure.map(layout(scores)).long(), want)
        assert torch.equal(structure.map(layout(scores[:1])).long(), want[:1])

    def test_samples_are_as_frequent_as_the_softmax_says(self, structure, layout):
        row = torch.tensor([-torch.inf, 0.5, -1.0, -torch.inf, 2.0, -torch.inf])
        count = 40_000
        drawn = structure.sample(layout(row.repeat(count, 1)), None, torch.Generator().manual_seed(0))
        assert set(drawn.unique().tolist()) == {0, 1}
        assert (drawn.sum(1) == 1).all()
        p = row.softmax(0)
        assert ((drawn.mean(0) - p).abs() <= 4 * (p * (1 - p) / count).sqrt()).all()

    def narrow(self, seed):
        """Many rows of five scores, with equal and forbidden ones, and some of very different size."""
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randint(-4, 5, (600, 5), generator=generator) / 4.0
        scores[200:400] += torch.randn(200, 5, generator=generator)
        scores[400:] *= 1e4
        forbidden = torch.rand(600, 5, generator=generator) < 0.2
        forbidden[:, 3] = False
        return scores.double().masked_fill(forbidden, -torch.inf)

    def test_lengths_are_ignored(self, structure):
        scores = self.batch(2)[0]
        assert torch.equal(structure.map(scores, torch.tensor([1, 1, 1, 1])), structure.map(scores))
