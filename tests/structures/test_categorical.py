"""The categorical structure, against the contract and independent formulas."""

import pytest
import torch

from latent.structures import Categorical
from tests.structures.contract import StructureContract


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

    def test_lengths_are_ignored(self, structure):
        scores = self.batch(2)[0]
        assert torch.equal(structure.map(scores, torch.tensor([1, 1, 1, 1])), structure.map(scores))
