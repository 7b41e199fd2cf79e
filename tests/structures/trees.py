"""What every kind of dependency tree must pass on top of the contract of all structures."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import threading

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.structures.contract import StructureContract
from tests.structures.enumeration import all_trees, as_matrices

LENGTHS = [4, 1, 3, 2, 5]


def _marginals_elsewhere(queue, structure, scores):
    queue.put(structure.marginals(scores).tolist())


class TreeContract(StructureContract):
    """A subclass gives `kind`, `projective` and `count(n, single_root)`."""

    kind: type
    projective: bool

    @pytest.fixture(params=[True, False], ids=["single-root", "multi-root"])
    def structure(self, request):
        return self.kind(single_root=request.param)

    def count(self, n, *, single_root):
        """How many trees there are over n words, in closed form."""
        raise NotImplementedError

    def batch(self, seed, scale=1.0):
        generator = torch.Generator().manual_seed(seed)
        scores = scale * torch.randn(5, 6, 6, generator=generator, dtype=torch.float64)
        return scores, torch.tensor(LENGTHS)

    def structures(self, structure, scores, lengths, b):
        n = int(lengths[b])
        small = as_matrices(all_trees(n, projective=self.projective, single_root=structure.single_root))
        z = torch.zeros(len(small), *scores.shape[1:], dtype=torch.float64)
        z[:, : n + 1, : n + 1] = small
        return z

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13, 20, 30])
    def test_counts(self, structure, n):
        scores = torch.zeros(1, n + 1, n + 1, dtype=torch.float64, device=self.device)
        expected = math.log(self.count(n, single_root=structure.single_root))
        assert structure.log_partition(scores).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)

    def test_what_is_no_arc_may_hold_anything(self, structure):
        scores, lengths = self.given(torch.float64, 1)
        parts = structure.mask(scores, lengths)
        clean = scores.masked_fill(~parts, 0)
        for junk in (math.nan, math.inf, -math.inf, 1e300):
            dirty = scores.masked_fill(~parts, junk).requires_grad_()
            for method in ("map", "marginals", "sparsemap", "entropy", "log_partition"):
                result = getattr(structure, method)(dirty, lengths)
                assert torch.equal(result, getattr(structure, method)(clean, lengths))
                if result.requires_grad:
                    weights = torch.linspace(0, 1, result[0].numel(), device=self.device)
                    loss = (result * weights.reshape(result[0].shape)).sum()
                    (gradient,) = torch.autograd.grad(loss, dirty)
                    assert gradient.isfinite().all()
                    assert (gradient[~parts] == 0).all()
                if result.dim() == 3:
                    assert (result[~parts] == 0).all()
            mu = structure.marginals(clean, lengths)
            assert structure.score(dirty, mu, lengths).isfinite().all()
            assert structure.kbest(dirty, lengths, 2) == structure.kbest(clean, lengths, 2)
            assert structure.support(dirty, lengths) == structure.support(clean, lengths)

    def test_gradients_that_come_in_on_padding_change_nothing(self, structure):
        scores, lengths = self.given(torch.float64, 1)
        parts = structure.mask(scores, lengths)
        for method in ("marginals", "sparsemap"):
            gradients = []
            for junk in (0.0, math.nan):
                leaf = scores.clone().requires_grad_()
                direction = torch.ones_like(scores).cumsum(1).cumsum(2).masked_fill(~parts, junk)
                getattr(structure, method)(leaf, lengths).backward(direction)
                gradients.append(leaf.grad)
            assert torch.equal(*gradients)

    def test_padded_equals_cropped(self, structure):
        scores, _ = self.given(torch.float64, 2)
        for n in (1, 2, 4):
            lengths = torch.full((len(scores),), n, device=self.device)
            cropped = scores[:, : n + 1, : n + 1]
            for method in ("map", "marginals", "sparsemap"):
                padded = getattr(structure, method)(scores, lengths)
                assert torch.equal(padded[:, : n + 1, : n + 1], getattr(structure, method)(cropped))

    @pytest.mark.parametrize("gain", [500.0, 720.0, 800.0, 1000.0, 1e4, 1e6])
    def test_best_arcs_that_no_tree_has_both(self, structure, gain):
        """Relative to either arc's tree, the other one's weight is beyond the range of a double."""
        scores, lengths = torch.zeros(3, 6, 6, dtype=torch.float64), torch.tensor([5, 4, 5])
        scores[:, 1, 2] = scores[:, 2, 1] = gain
        scores[2] += torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        given = scores.to(self.device).requires_grad_()
        mu = structure.marginals(given, lengths.to(self.device))
        (vjp,) = torch.autograd.grad(mu[:, 1].square().sum(), given)
        for b in range(3):
            z = self.structures(structure, scores, lengths, b)
            leaf = scores[b].clone().requires_grad_()
            expected = torch.einsum("t,tij->ij", (z * leaf).sum((1, 2)).softmax(0), z)
            torch.testing.assert_close(mu[b].cpu(), expected, atol=1e-9, rtol=0)
            (theirs,) = torch.autograd.grad(expected[1].square().sum(), leaf)
            torch.testing.assert_close(vjp[b].cpu(), theirs, atol=1e-9, rtol=0)

    def test_one_word(self, structure):
        scores = torch.randn(2, 2, 2, dtype=torch.float64, device=self.device, requires_grad=True)
        only = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64, device=self.device)
        for method in ("map", "marginals", "sparsemap", "sample"):
            assert torch.equal(getattr(structure, method)(scores), only.expand(2, 2, 2))
        for method in ("marginals", "sparsemap", "entropy"):
            (gradient,) = torch.autograd.grad(getattr(structure, method)(scores).sum(), scores)
            assert (gradient == 0).all()
        assert structure.support(scores) == [[(1.0, [0])]] * 2

    # Every kind of tree inherits this test, which hypothesis calls its executors.
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_a_constant_for_one_modifier_changes_only_the_log_partition(self, data):
        structure = self.kind(single_root=data.draw(st.booleans()))
        n = data.draw(st.integers(1, 9))
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
        scores = torch.randn(1, n + 1, n + 1, generator=generator, dtype=torch.float64).to(self.device)
        word, constant = data.draw(st.integers(1, n)), data.draw(st.floats(-50, 50))
        moved = scores.clone()
        moved[:, :, word] += constant
        mu = structure.marginals(scores)
        torch.testing.assert_close(structure.marginals(moved), mu, atol=1e-9, rtol=0)
        torch.testing.assert_close(mu.sum((1, 2)), torch.full_like(mu[:, 0, 0], n))
        torch.testing.assert_close(mu.sum(1)[:, 1:], torch.ones_like(mu[:, 0, 1:]))
        change = structure.log_partition(moved) - structure.log_partition(scores)
        assert change.item() == pytest.approx(constant, abs=1e-9)
        assert structure.map(moved).argmax(1).tolist() == structure.map(scores).argmax(1).tolist()

    @pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
    def test_long_sentences(self, structure, scale):
        """Optimality of MAP and SparseMAP by conditions that need no list of all trees."""
        n = 31
        generator = torch.Generator().manual_seed(0)
        scores = (scale * torch.randn(3, n + 1, n + 1, generator=generator, dtype=torch.float64)).to(
            self.device
        )
        best = structure.map(scores)
        value = structure.score(scores, best)
        assert (structure.score(scores, structure.sample(scores)) <= value).all()
        torch.testing.assert_close(structure.marginals(1e7 / scale * scores), best, atol=1e-3, rtol=0)
        mu, info = structure.sparsemap(scores, return_info=True)
        left = scores - mu
        gap = structure.score(left, structure.map(left)) - structure.score(left, mu)
        assert (gap.abs() < 1e-9).all()
        torch.testing.assert_close(info.gap, gap.double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(mu.sum(1)[:, 1:], torch.ones_like(mu[:, 0, 1:]))
        assert (mu >= 0).all()

    @pytest.mark.parametrize("scale", [1e12, 1e39, 1e300])
    def test_a_projection_of_scores_beyond_single_precision(self, structure, scale):
        scores, lengths = self.batch(21, scale)
        mu = structure.sparsemap(scores, lengths)
        for b in range(len(scores)):
            z = self.structures(structure, scores, lengths, b)
            best = (z * scores[b]).sum((1, 2)).argmax()
            torch.testing.assert_close(mu[b].cpu(), z[best], atol=0, rtol=0)

    @pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 1e38), (torch.float64, 1e300)])
    def test_a_step_of_any_size_from_the_marginals(self, structure, dtype, scale):
        start, lengths = self.given(dtype, 3)
        point = scale * self.given(dtype, 21)[0].clamp(-1, 1)
        mu = structure.project(point, lengths, (start, structure.marginals(start, lengths)))
        for b in range(len(point)):
            z = self.structures(structure, point, lengths, b)
            best = (z * (point[b].double().cpu() / scale)).sum((1, 2)).argmax()
            torch.testing.assert_close(mu[b].double().cpu(), z[best], atol=1e-6, rtol=0)

    @pytest.mark.parametrize("max_iter", [0, 1, 5])
    def test_a_capped_projection_is_in_the_polytope(self, structure, max_iter):
        scores, lengths = self.given(torch.float64, 3, 0.1)
        mu, info = structure.sparsemap(scores, lengths, max_iter=max_iter, return_info=True)
        assert (info.iterations <= max_iter).all()
        assert (info.gap[lengths > 3] > 1e-6).any()
        assert (mu >= 0).all()
        for b, n in enumerate(lengths.tolist()):
            torch.testing.assert_close(mu[b].sum(0)[1 : n + 1], torch.ones_like(mu[b, 0, 1 : n + 1]))
            left = structure.score(scores - mu, mu, lengths)[b]
            best = structure.score(scores - mu, structure.map(scores - mu, lengths), lengths)[b]
            assert info.gap[b].item() >= (best - left).item() - 1e-9
        for support, n, row in zip(
            structure.support(scores, lengths, max_iter=max_iter), lengths.tolist(), mu, strict=True
        ):
            mixed = torch.zeros_like(row)
            for weight, heads in support:
                mixed[heads, range(1, n + 1)] += weight
            torch.testing.assert_close(mixed, row)

    def test_mixtures_are_the_projection_and_its_support_at_once(self, structure):
        scores, lengths = self.given(torch.float32, 3, 0.1)
        found = structure.mixtures(scores.requires_grad_(), lengths)
        assert not found.mean.requires_grad
        assert torch.equal(found.mean, structure.sparsemap(scores, lengths).detach())
        trees = iter(zip(found.weights.tolist(), found.heads.tolist(), strict=True))
        supports = structure.support(scores, lengths)
        for size, support, n in zip(found.sizes.tolist(), supports, lengths.tolist(), strict=True):
            assert [(weight, heads[:n]) for weight, heads in itertools.islice(trees, size)] == support
        assert next(trees, None) is None

    def test_many_threads_at_once(self, structure):
        scores = torch.randn(64, 13, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected = structure.marginals(scores), structure.sparsemap(scores)
        results = []

        def work():
            results.extend((structure.marginals(scores), structure.sparsemap(scores)) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 30
        assert all(torch.equal(a, b) for result in results for a, b in zip(result, expected, strict=True))

    def test_spawned_processes(self, structure):
        scores = torch.randn(40, 11, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=_marginals_elsewhere, args=(queue, structure, scores))
        process.start()
        assert queue.get(timeout=120) == structure.marginals(scores).tolist()
        process.join()

    def test_a_forked_process(self, structure):
        """The kernels' helper threads stay behind at a fork; the child starts its own."""
        scores = torch.randn(300, 21, 21, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected = structure.map(scores)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            same = (structure.map(scores).numpy() == expected.numpy()).all()
            os.write(write, b"equal" if same else b"other")
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 5) == b"equal"

    def test_lengths(self, structure):
        scores, lengths = self.given(torch.float64)
        with pytest.raises(TypeError, match="lengths must be int64"):
            structure.map(scores, lengths.int())
        with pytest.raises(ValueError, match="lengths must be"):
            structure.map(scores, lengths[:2])
        for wrong in (0, -1, 6):
            with pytest.raises(ValueError, match=f"sentence 2 of the batch has length {wrong}"):
                structure.marginals(
                    scores, lengths.index_fill(0, torch.tensor([2], device=self.device), wrong)
                )
        with pytest.raises(ValueError, match=r"\(batch, n\+1, n\+1\).*got \(5, 6, 5\)"):
            structure.map(scores[:, :, 1:], lengths)
        with pytest.raises(TypeError, match="single_root"):
            self.kind()

    def test_two_structures_never_influence_each_other(self):
        scores, lengths = self.given(torch.float64, 5)
        one, other = self.kind(single_root=True), self.kind(single_root=False)
        alone = one.marginals(scores, lengths)
        other.marginals(scores, lengths)
        assert torch.equal(one.marginals(scores, lengths), alone)
        assert one != other

    # SparseMAP's support has a size of its own, which breaks the graph; torch then looks at .grad with a
    # warning.
    @pytest.mark.filterwarnings("ignore:The .grad attribute")
    def test_compiled(self, structure):
        scores, lengths = self.given(torch.float64, 6)

        def loss(s):
            mixed = structure.marginals(s, lengths) + structure.sparsemap(s, lengths)
            return (mixed * structure.map(s, lengths)).sum() + structure.log_partition(s, lengths).sum()

        compiled = torch.compile(loss, backend="aot_eager")
        leaves = [scores.clone().requires_grad_() for _ in range(2)]
        values = [function(leaf) for function, leaf in zip((loss, compiled), leaves, strict=True)]
        torch.testing.assert_close(*values)
        for value in values:
            value.backward()
        torch.testing.assert_close(leaves[0].grad, leaves[1].grad)
