"""What every structure must pass: a structure's test file subclasses `StructureContract`.

The answers come from the list of all structures of small examples, which a subclass provides.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chisquare

from tests.structures.enumeration import project

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


class StructureContract:
    """Tests of any structure. A subclass gives `structure`, `batch` and `structures`."""

    device = "cpu"

    @pytest.fixture
    def structure(self):
        raise NotImplementedError

    def batch(self, seed, scale=1.0):
        """Random float64 scores and lengths of a small batch."""
        raise NotImplementedError

    def structures(self, structure, scores, lengths, b):
        """All structures of example b, (number, *scores.shape[1:]) float64 zeros and ones."""
        raise NotImplementedError

    # -- helpers ------------------------------------------------------------------------------------------

    def each(self, structure, scores, lengths):
        """Per example: its index, all structures, and their scores (with 0 · -inf = 0)."""
        for b in range(len(scores)):
            z = self.structures(structure, scores, lengths, b)
            values = torch.where(z > 0, scores[b].double().cpu(), 0).flatten(1).sum(1)
            yield b, z, values

    def given(self, dtype, seed=0, scale=1.0):
        scores, lengths = self.batch(seed, scale)
        lengths = None if lengths is None else lengths.to(self.device)
        return scores.to(self.device, dtype), lengths

    def item(self, structure, entry, like):
        """The matrix of an entry of `support` or `kbest`."""
        z = torch.zeros(like.shape, dtype=torch.float64)
        z[entry, torch.arange(1, len(entry) + 1)] = 1
        return z

    # -- against enumeration ------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
    def test_sums_are_those_over_all_structures(self, structure, dtype, scale):
        scores, lengths = self.given(dtype, scale=scale)
        log_z, mu = structure.log_partition(scores, lengths), structure.marginals(scores, lengths)
        entropy = structure.entropy(scores, lengths)
        assert log_z.dtype == mu.dtype == entropy.dtype == dtype
        for b, z, values in self.each(structure, scores, lengths):
            p = values.softmax(0)
            assert log_z[b].item() == pytest.approx(values.logsumexp(0).item(), abs=10 * TOLERANCE[dtype])
            expected = torch.tensordot(p, z, 1)
            torch.testing.assert_close(mu[b].double().cpu(), expected, atol=TOLERANCE[dtype], rtol=0)
            own = torch.special.entr(p).sum().item()
            assert entropy[b].item() == pytest.approx(own, abs=10 * TOLERANCE[dtype])

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_map_is_a_best_structure(self, structure, dtype):
        scores, lengths = self.given(dtype, 1)
        best = structure.map(scores, lengths)
        assert best.dtype == dtype
        assert not best.requires_grad
        for b, z, values in self.each(structure, scores, lengths):
            assert torch.equal(best[b].double().cpu(), z[values.argmax()])

    def test_map_is_the_limit_of_marginals_at_zero_temperature(self, structure):
        scores, lengths = self.given(torch.float64, 2)
        cold = structure.marginals(scores * 1e6, lengths)
        torch.testing.assert_close(cold, structure.map(scores, lengths), atol=1e-6, rtol=0)

    def test_map_breaks_ties_the_same_way_every_time(self, structure):
        scores, lengths = self.given(torch.float64)
        first = structure.map(scores * 0, lengths)
        assert all(torch.equal(structure.map(scores * 0, lengths), first) for _ in range(3))
        for b, z, _ in self.each(structure, scores, lengths):
            assert (first[b].cpu() == z).flatten(1).all(1).any()

    @pytest.mark.parametrize("scale", [1e-8, 0.1, 1.0, 5.0])
    def test_sparsemap_is_the_projection(self, structure, scale):
        scores, lengths = self.given(torch.float64, 3, scale)
        single = structure.sparsemap(scores.float(), lengths)
        mu, info = structure.sparsemap(scores, lengths, return_info=True)
        assert (info.gap >= 0).all()
        assert (info.gap < 1e-9).all()
        for b, z, _ in self.each(structure, scores, lengths):
            parts = (z > 0).any(0)
            expected = project(z, torch.where(parts, scores[b].cpu(), 0)).reshape(z.shape[1:])
            torch.testing.assert_close(mu[b].cpu(), expected, atol=1e-6, rtol=0)
            torch.testing.assert_close(single[b].double().cpu(), expected, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-12])
    @pytest.mark.parametrize("step", [1e-3, 0.1, 3.0])
    @pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
    def test_a_step_from_the_marginals_is_projected(self, structure, scale, step, tol):
        start, lengths = self.given(torch.float64, 5, scale)
        marginals, parts = structure.marginals(start, lengths), structure.mask(start, lengths)
        direction = self.given(torch.float64, 6)[0]
        point = torch.where(parts, marginals + step * direction, math.nan)
        clean = point.nan_to_num()
        mu = structure.project(clean, lengths, (start, marginals), tol=tol)
        for b, z, _ in self.each(structure, start, lengths):
            expected = project(z, clean[b].cpu()).reshape(z.shape[1:])
            assert (mu[b].cpu() - expected).square().sum() <= tol + 1e-12
        assert (mu[~parts] == 0).all()
        torch.testing.assert_close(
            structure.project(clean, lengths, tol=tol), structure.sparsemap(clean, lengths, tol=tol)
        )

    def test_support_is_a_mixture_that_gives_the_projection(self, structure):
        scores, lengths = self.given(torch.float64, 4, 0.3)
        mu = structure.sparsemap(scores, lengths)
        for b, mixture in enumerate(structure.support(scores, lengths)):
            weights = torch.tensor([w for w, _ in mixture], dtype=torch.float64)
            z = torch.stack([self.item(structure, entry, scores[b]) for _, entry in mixture])
            assert (weights > 0).all()
            assert weights.sum().item() == pytest.approx(1, abs=1e-12)
            assert torch.equal(weights, weights.sort(descending=True).values)
            torch.testing.assert_close(torch.tensordot(weights, z, 1), mu[b].cpu(), atol=1e-10, rtol=0)
            differences = (z[1:] - z[0]).flatten(1)
            if len(differences):
                assert torch.linalg.matrix_rank(differences) == len(differences)

    @pytest.mark.parametrize("ties", [False, True])
    @pytest.mark.parametrize("k", [1, 3, 10_000])
    def test_kbest_is_the_head_of_the_sorted_list(self, structure, k, ties):
        scores, lengths = self.given(torch.float64, 5)
        scores = scores.round() if ties else scores
        best = structure.kbest(scores, lengths, k)
        for b, z, values in self.each(structure, scores, lengths):
            expected = values.sort(descending=True).values[:k]
            assert len(best[b]) == len(expected)
            assert [score for score, _ in best[b]] == pytest.approx(expected.tolist(), abs=1e-10)
            assert len({tuple(entry) for _, entry in best[b]}) == len(expected)
            for score, entry in best[b][:5]:
                matrix = self.item(structure, entry, scores[b])
                same = (z == matrix).flatten(1).all(1)
                assert same.sum() == 1
                assert values[same].item() == pytest.approx(score, abs=1e-10)

    def test_samples_have_the_gibbs_distribution(self, structure):
        scores, lengths = self.given(torch.float64, 6)
        draws, generator = 4000, torch.Generator(self.device).manual_seed(5)
        for b, z, values in self.each(structure, scores, lengths):
            many = scores[b : b + 1].expand(draws, *scores.shape[1:])
            length = None if lengths is None else lengths[b : b + 1].expand(draws)
            sampled = structure.sample(many, length, generator).double().cpu()
            p = values.softmax(0)
            p, z = p[p.argsort(descending=True)], z[p.argsort(descending=True)]
            frequent = max(1, int((p * draws > 5).sum()))
            counts = torch.tensor([(sampled == one).flatten(1).all(1).sum() for one in z[:frequent]])
            observed = [*counts.tolist(), draws - int(counts.sum())]
            expected = [*(p[:frequent] * draws).tolist(), float(p[frequent:].sum()) * draws]
            if expected[-1] < 1e-9:
                assert observed.pop() == 0
                expected.pop()
            if len(expected) > 1:
                assert chisquare(observed, expected, sum_check=False).pvalue > 1e-4

    # -- derivatives --------------------------------------------------------------------------------------

    @pytest.mark.parametrize("method", ["marginals", "log_partition", "entropy", "sparsemap"])
    def test_first_derivatives(self, structure, method):
        scores, lengths = self.given(torch.float64, 7)
        function = getattr(structure, method)
        assert torch.autograd.gradcheck(lambda s: function(s, lengths), scores.requires_grad_(), atol=1e-6)

    def test_second_derivatives_of_the_log_partition(self, structure):
        scores, lengths = self.given(torch.float64, 8)
        assert torch.autograd.gradgradcheck(
            lambda s: structure.log_partition(s, lengths), scores.requires_grad_(), atol=1e-6
        )

    def test_score_is_the_inner_product(self, structure):
        scores, lengths = self.given(torch.float64, 9)
        scores.requires_grad_()
        z = structure.marginals(scores.detach(), lengths).requires_grad_()
        structure.score(scores, z, lengths).sum().backward()
        parts = structure.mask(scores, lengths)
        assert torch.equal(scores.grad, torch.where(parts, z.detach(), 0))
        assert torch.equal(z.grad, torch.where(parts, scores.detach(), 0))

    # -- extremes -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("scale", [1e-8, 30.0, 1000.0, 1e4])
    def test_scores_of_any_size(self, structure, dtype, scale):
        scores, lengths = self.given(dtype, 10, scale)
        scores.requires_grad_()
        mu, projection = structure.marginals(scores, lengths), structure.sparsemap(scores, lengths)
        entropy, log_z = structure.entropy(scores, lengths), structure.log_partition(scores, lengths)
        direction = torch.randn(scores.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        ((mu + projection) * direction.to(mu)).sum().backward(retain_graph=True)
        assert scores.grad.isfinite().all()
        through = torch.autograd.grad((mu * direction.to(mu)).sum() + entropy.sum(), scores)[0]
        for b, z, values in self.each(structure, scores.detach(), lengths):
            p = values.softmax(0)
            expected = torch.tensordot(p, z, 1)
            torch.testing.assert_close(mu[b].double().cpu(), expected, atol=1e-5, rtol=0)
            assert log_z[b].item() == pytest.approx(values.logsumexp(0).item(), rel=1e-6, abs=1e-6)
            assert entropy[b].item() == pytest.approx(torch.special.entr(p).sum().item(), abs=1e-5)
            product = (z.flatten(1) * direction[b].flatten()).sum(1) - p.clamp(min=1e-300).log()
            slope = torch.tensordot(p * (product - (p * product).sum()), z, 1)
            torch.testing.assert_close(through[b].double().cpu(), slope, atol=1e-4, rtol=1e-4)

    def test_a_mask_of_minus_infinity_forbids(self, structure):
        scores, lengths = self.given(torch.float64, 11)
        kept = structure.map(scores, lengths) > 0
        gone = torch.rand(scores.shape, generator=torch.Generator().manual_seed(2)).to(scores) < 0.4
        scores = scores.masked_fill(gone & ~kept, -math.inf).requires_grad_()
        mu, projection = structure.marginals(scores, lengths), structure.sparsemap(scores, lengths)
        entropy = structure.entropy(scores, lengths)
        weights = torch.rand(scores.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        total = (mu * weights.to(mu)).sum() + entropy.sum() + projection.square().sum()
        total.backward()
        forbidden = scores == -math.inf
        for result in (mu, projection, scores.grad, structure.sample(scores, lengths)):
            assert result.isfinite().all()
            assert (result[forbidden] == 0).all()
        for b, z, values in self.each(structure, scores.detach(), lengths):
            p = values.softmax(0)
            torch.testing.assert_close(mu[b].detach().cpu(), torch.tensordot(p, z, 1), atol=1e-10, rtol=0)
            assert entropy[b].item() == pytest.approx(torch.special.entr(p).sum().item())
        assert torch.equal(structure.score(scores, mu, lengths).isfinite(), torch.ones(len(scores)).bool())

    def test_no_structure_left_is_an_error_that_names_the_example(self, structure):
        scores, lengths = self.given(torch.float64)
        scores[1] = -math.inf
        for method in ("map", "marginals", "sparsemap", "sample", "log_partition", "entropy", "support"):
            with pytest.raises(ValueError, match=r"(sentence|example) 1 of the batch"):
                getattr(structure, method)(scores, lengths)

    def test_nan_is_an_error_that_names_the_example(self, structure):
        scores, lengths = self.given(torch.float64)
        scores[1][structure.mask(scores, lengths)[1].nonzero(as_tuple=True)] = math.nan
        for method in ("map", "marginals", "sparsemap", "sample", "log_partition", "entropy", "support"):
            with pytest.raises(ValueError, match=r"(sentence|example) 1 of the batch.*NaN"):
                getattr(structure, method)(scores, lengths)

    # -- ways of calling ----------------------------------------------------------------------------------

    def test_a_batch_is_its_examples_one_by_one(self, structure):
        scores, lengths = self.given(torch.float64, 12)
        for method in ("map", "marginals", "sparsemap", "log_partition", "entropy"):
            together = getattr(structure, method)(scores, lengths)
            for b in range(len(scores)):
                alone = getattr(structure, method)(
                    scores[b : b + 1], None if lengths is None else lengths[b : b + 1]
                )
                assert torch.equal(alone[0], together[b])

    def test_inputs_are_never_written(self, structure):
        scores, lengths = self.given(torch.float64, 13)
        before = scores.clone()
        for method in ("map", "marginals", "sparsemap", "sample", "log_partition", "entropy", "support"):
            getattr(structure, method)(scores, lengths)
        structure.kbest(scores, lengths, 2)
        assert torch.equal(scores, before)

    def test_strided_inputs(self, structure):
        scores, lengths = self.given(torch.float64, 13)
        wide = torch.stack([scores, scores + 1], -1)
        for method in ("map", "marginals", "sparsemap", "log_partition"):
            function = getattr(structure, method)
            assert torch.equal(function(wide[..., 0], lengths), function(scores, lengths))

    def test_equal_generators_give_equal_samples_with_any_number_of_threads(self, structure):
        scores, lengths = self.given(torch.float64, 14)
        many = scores.repeat(100, *(1 for _ in scores.shape[1:]))
        words = None if lengths is None else lengths.repeat(100)
        samples = []
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            samples.append(structure.sample(many, words, torch.Generator(self.device).manual_seed(3)))
        assert torch.equal(samples[0], samples[1])
        assert torch.equal(samples[1], samples[2])
        torch.manual_seed(1)
        first = structure.sample(many, words)
        torch.manual_seed(1)
        assert torch.equal(structure.sample(many, words), first)

    def test_without_gradients(self, structure):
        scores, lengths = self.given(torch.float64, 15)
        expected = structure.marginals(scores, lengths)
        scores.requires_grad_()
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                assert torch.equal(structure.marginals(scores, lengths), expected)
                assert not structure.sparsemap(scores, lengths).requires_grad
                assert not structure.log_partition(scores, lengths).requires_grad

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision(self, structure, dtype):
        scores, lengths = self.given(dtype, 16)
        for method in ("map", "marginals", "sparsemap"):
            result = getattr(structure, method)(scores, lengths)
            wide = getattr(structure, method)(scores.float(), lengths)
            assert result.dtype == dtype
            torch.testing.assert_close(result, wide.to(dtype), atol=4e-3, rtol=0)

    def test_wrong_arguments(self, structure):
        scores, lengths = self.given(torch.float64)
        with pytest.raises(TypeError, match="floating point"):
            structure.map(scores.long(), lengths)
        with pytest.raises(ValueError, match=r"scores must be \(batch"):
            structure.marginals(scores[0, 0], lengths)
        with pytest.raises(ValueError, match="k ≥ 1"):
            structure.kbest(scores, lengths, 0)

    def test_equality_and_repr(self, structure):
        assert structure == eval(repr(structure), {type(structure).__name__: type(structure)})
