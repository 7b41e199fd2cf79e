"""The Triton kernels of projective trees, against enumeration and the other back ends.

Without a GPU they run under Triton's interpreter, on small inputs; with one, the same tests run on it.
"""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from latent.kernels import BACKENDS, REFERENCE, kernels_of, tree_kernels
from latent.structures import ProjectiveTree
from tests.structures.enumeration import all_trees, as_matrices, project
from tests.structures.test_projective import TestProjectiveTree as ProjectiveContract

pytest.importorskip("triton", reason="no Triton on this system, so no kernels for CUDA devices either")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
ROOTS = pytest.mark.parametrize("single_root", [True, False], ids=["single-root", "multi-root"])
LENGTHS = torch.tensor([4, 1, 3, 2])
JUNK = [math.nan, math.inf, -math.inf, 1e300]
SMALL = 64
"""A tile that even few words do not fit into: then the loops over parts of a width run more than once."""


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch):
    if ON_GPU:
        return
    import triton

    from tests.structures import interpreted

    assert triton.knobs.runtime.interpret, "triton was imported before tests/conftest.py set TRITON_INTERPRET"
    interpreted.hurry(monkeypatch)


@pytest.fixture
def kernels():
    from latent.kernels.cuda.trees import TREES

    return TREES["projective"]


@pytest.fixture
def small_tiles(monkeypatch):
    from latent.kernels.cuda import launch

    monkeypatch.setattr(launch, "TILE", SMALL)


def random(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def batch(seed, dtype=torch.float64):
    """Four sentences: ordinary scores, one word, huge and tiny ones; forbidden arcs; junk elsewhere."""
    scores = random(seed, 4, 5, 5) * torch.tensor([1.0, 1.0, 1e4, 1e-8])[:, None, None]
    scores[0, 1, 2] = scores[2, 3, 1] = scores[2, 0, 2] = -math.inf
    parts = ProjectiveTree(single_root=True).mask(scores, LENGTHS)
    scores[~parts] = torch.tensor(JUNK, dtype=torch.float64).repeat(25)[: (~parts).sum()]
    return scores.to(dtype).to(DEVICE), LENGTHS.to(DEVICE)


def enumerated(scores, lengths, single_root):
    """Per sentence: its index, its length, all its trees, their scores, and the block of its arcs."""
    for b, n in enumerate(lengths.tolist()):
        trees = as_matrices(all_trees(n, projective=True, single_root=single_root))
        block = (b, slice(0, n + 1), slice(0, n + 1))
        own = scores[block].double().cpu()
        yield trees, torch.where(trees > 0, own, 0).flatten(1).sum(1), block


def blank_outside(result, lengths):
    """Whether everything that is no arc of a sentence is 0."""
    parts = ProjectiveTree(single_root=False).mask(result, lengths)
    return bool((result[~parts] == 0).all())


@ROOTS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_sums_and_best_trees_are_those_of_all_trees(kernels, single_root, dtype, small_tiles):
    scores, lengths = batch(0, dtype)
    direction = random(1, 4, 5, 5, dtype=dtype).to(DEVICE)
    direction[~ProjectiveTree(single_root=True).mask(scores, lengths) | (scores == -math.inf)] = math.nan
    best, log_z = (
        kernels.map(scores, lengths, single_root),
        kernels.log_partition(scores, lengths, single_root),
    )
    mu, same = kernels.marginals(scores, lengths, single_root)
    through = kernels.marginals_vjp(scores, lengths, direction, single_root)
    assert torch.equal(log_z, same)
    assert best.dtype == log_z.dtype == mu.dtype == through.dtype == dtype
    assert all(blank_outside(result, lengths) for result in (best, mu, through))
    tolerance = {"atol": 1e-9 if dtype == torch.float64 else 1e-6, "rtol": 1e-6}
    for trees, values, block in enumerated(scores, lengths, single_root):
        p = values.softmax(0)
        assert torch.equal(best[block].double().cpu(), trees[values.argmax()])
        assert log_z[block[0]].item() == pytest.approx(values.logsumexp(0).item(), rel=1e-6)
        torch.testing.assert_close(mu[block].double().cpu(), torch.tensordot(p, trees, 1), **tolerance)
        along = (trees * direction[block].double().cpu().nan_to_num()).flatten(1).sum(1)
        slope = torch.tensordot(p * (along - p @ along), trees, 1)
        torch.testing.assert_close(through[block].double().cpu(), slope, **tolerance)


@ROOTS
def test_sparsemap_is_the_projection(kernels, single_root):
    scores, lengths = batch(2)
    direction = random(3, 4, 5, 5).to(DEVICE)
    found = kernels.sparsemap(scores, lengths, single_root, 0.0, 1000)
    through = kernels.sparsemap_vjp(found.trees, found.first, found.sizes, lengths, direction)
    assert (found.gap >= 0).all()
    assert blank_outside(found.mu, lengths)
    assert blank_outside(through, lengths)
    for trees, values, block in enumerated(scores, lengths, single_root):
        b, n = block[0], trees.shape[1] - 1
        trees = trees[values > -math.inf]
        parts = (trees > 0).any(0)
        expected = project(trees, torch.where(parts, scores[block].cpu(), 0)).reshape(n + 1, n + 1)
        torch.testing.assert_close(found.mu[block].cpu(), expected, atol=1e-7, rtol=0)
        support = slice(int(found.first[b]), int(found.first[b] + found.sizes[b]))
        heads, weights = found.trees[support].cpu().long(), found.weights[support].cpu()
        assert (heads[:, n:] == 0).all()
        mixed = as_matrices(heads[:, :n].numpy())
        torch.testing.assert_close(torch.tensordot(weights, mixed, 1), found.mu[block].cpu())
        assert weights.min() >= 0
        W = (mixed - mixed[0]).flatten(1)
        assert torch.linalg.matrix_rank(W) == len(W) - 1
        projected = torch.linalg.pinv(W) @ (W @ direction[block].cpu().flatten())
        torch.testing.assert_close(through[block].cpu().flatten(), projected, atol=1e-9, rtol=0)


@ROOTS
def test_an_active_set_that_is_full_goes_on_with_more_room(kernels, single_root, monkeypatch, small_tiles):
    from latent.kernels.cuda import active_sets

    scores, lengths = 1e-3 * random(4, 3, 5, 5).to(DEVICE), LENGTHS[[0, 1, 0]].to(DEVICE)
    plenty = kernels.sparsemap(scores, lengths, single_root, 1e-12, 1000)
    monkeypatch.setattr(active_sets, "FIRST_ROOM", 4)
    grown = kernels.sparsemap(scores, lengths, single_root, 1e-12, 1000)
    assert grown.sizes.max() > 3
    torch.testing.assert_close(grown.mu, plenty.mu)
    assert torch.equal(grown.sizes, plenty.sizes)
    for b, n in enumerate(lengths.tolist()):
        own = slice(int(grown.first[b]), int(grown.first[b] + grown.sizes[b]))
        mixed = as_matrices(grown.trees[own].cpu().long()[:, :n].numpy())
        mu = torch.tensordot(grown.weights[own].cpu(), mixed, 1)
        torch.testing.assert_close(mu, grown.mu[b, : n + 1, : n + 1].cpu())


@pytest.mark.parametrize("max_iter", [0, 2])
def test_a_capped_projection_is_in_the_polytope(kernels, max_iter):
    scores, lengths = 0.1 * random(5, 4, 5, 5).to(DEVICE), LENGTHS.to(DEVICE)
    found = kernels.sparsemap(scores, lengths, True, 1e-12, max_iter)
    exact = kernels.sparsemap(scores, lengths, True, 1e-12, 1000).mu
    assert (found.iterations <= max_iter).all()
    assert (found.sizes <= max_iter + 1).all()
    assert found.gap[0] > 1e-6
    error = (found.mu - exact).square().sum((1, 2))
    assert (found.gap >= 0.5 * error - 1e-12).all()
    for b, n in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found.mu[b].sum(0)[1 : n + 1].cpu(), torch.ones(n, dtype=torch.float64))
    assert (found.mu >= 0).all()


@ROOTS
def test_longer_sentences_agree_with_the_other_back_ends(kernels, single_root):
    n = 18 if not ON_GPU else 70
    scores, lengths, direction = (
        random(6, 2, n + 1, n + 1),
        torch.tensor([n, n - 7]),
        random(7, 2, n + 1, n + 1),
    )
    given, words = scores.to(DEVICE), lengths.to(DEVICE)
    best = kernels.map(given.float(), words, single_root).cpu()
    ours = kernels.marginals_vjp(given, words, direction.to(DEVICE), single_root).cpu()
    for others in (tree_kernels("projective", "cpu"), kernels_of("projective", REFERENCE)):
        assert torch.equal(best, others.map(scores.float(), lengths, single_root))
        torch.testing.assert_close(ours, others.marginals_vjp(scores, lengths, direction, single_root))


@ROOTS
def test_ties_are_broken_as_on_the_cpu(kernels, single_root, small_tiles):
    scores, lengths = (0.7 * random(8, 2, 10, 10)).round(), torch.tensor([9, 6])
    expected = tree_kernels("projective", "cpu").map(scores, lengths, single_root)
    assert torch.equal(kernels.map(scores.to(DEVICE), lengths.to(DEVICE), single_root).cpu(), expected)


OPERATIONS = {
    "map": lambda k, s, n: k.map(s, n, True),
    "log_partition": lambda k, s, n: k.log_partition(s, n, True),
    "marginals": lambda k, s, n: k.marginals(s, n, True),
    "sparsemap": lambda k, s, n: k.sparsemap(s, n, True, 1e-8, 100),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wrong", [0, -1, 4, math.nan, math.inf, -math.inf])
def test_errors_are_those_of_the_cpu(kernels, operation, wrong):
    scores, lengths = random(9, 3, 4, 4), torch.tensor([3, 2, 1])
    if isinstance(wrong, int):
        lengths[1] = wrong
    elif wrong == -math.inf:
        scores[1] = wrong
    else:
        scores[1, 1, 2] = wrong
    with pytest.raises(ValueError, match="sentence 1 of the batch") as expected:
        OPERATIONS[operation](tree_kernels("projective", "cpu"), scores, lengths)
    with pytest.raises(ValueError, match="sentence 1 of the batch") as found:
        OPERATIONS[operation](kernels, scores.to(DEVICE), lengths.to(DEVICE))
    assert str(found.value) == str(expected.value)


def test_what_has_no_kernel_goes_through_the_cpu(kernels):
    from latent.kernels.cuda.trees import TREES

    scores, lengths, seeds = random(10, 4, 5, 5), LENGTHS, torch.arange(4)
    for ours, name in ((kernels, "projective"), (TREES["nonprojective"], "nonprojective")):
        cpu = tree_kernels(name, "cpu")
        given = scores.to(DEVICE), lengths.to(DEVICE)
        drawn = ours.sample(*given, seeds.to(DEVICE), True)
        assert drawn.device.type == DEVICE
        assert torch.equal(drawn.cpu(), cpu.sample(scores, lengths, seeds, True))
        assert torch.equal(ours.kbest(*given, 3, True)[0].cpu(), cpu.kbest(scores, lengths, 3, True)[0])


def test_half_precision_and_strides(kernels):
    scores, lengths = random(11, 4, 5, 5).to(DEVICE), LENGTHS.to(DEVICE)
    strided = torch.stack([scores, scores + 1], -1)[..., 0]
    assert torch.equal(
        kernels.marginals(strided, lengths, True)[0], kernels.marginals(scores, lengths, True)[0]
    )
    half = scores.bfloat16()
    mu = kernels.marginals(half, lengths, True)[0]
    assert mu.dtype == kernels.map(half, lengths, True).dtype == torch.bfloat16
    assert torch.equal(mu, kernels.marginals(half.float(), lengths, True)[0].bfloat16())


@pytest.mark.skipif(ON_GPU, reason="on a GPU the kernels run compiled: nothing can be watched")
@ROOTS
def test_threads_and_programs_keep_out_of_each_others_way(kernels, single_root, monkeypatch, small_tiles):
    """What an interpreter lets pass: a missing barrier, an address out of bounds, memory not yet written."""
    from latent.kernels.cuda import active_sets
    from tests.structures.interpreted import Watch

    monkeypatch.setattr(active_sets, "FIRST_ROOM", 4)
    watch = Watch(monkeypatch)
    scores, lengths = 0.2 * random(12, 3, 5, 5), torch.tensor([3, 1, 4])
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        kernels.map(scores, lengths, single_root)
        mu, _ = kernels.marginals(scores, lengths, single_root)
        through = kernels.marginals_vjp(scores, lengths, scores, single_root)
        found = kernels.sparsemap(scores, lengths, single_root, 1e-12, 100)
        back = kernels.sparsemap_vjp(found.trees, found.first, found.sizes, lengths, scores)
    finally:
        torch.use_deterministic_algorithms(False)
    assert found.sizes.max() > 3
    assert (found.iterations + 1 > found.sizes).any()  # some tree was dropped again
    assert all(result.isfinite().all() for result in (mu, through, found.mu, back))
    assert watch.accesses > 1000


@pytest.mark.skipif(ON_GPU, reason="on a GPU every other test compiles the kernels")
def test_the_kernels_compile_for_a_gpu(tmp_path):
    """Triton brings its own compiler and assembler, so this needs no GPU; the interpreter must be off."""
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {"TRITON_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, script], cwd=script.parents[2], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == [
        "map_kernel",
        "projection_kernel",
        "sparsemap_kernel",
        "sums_kernel",
    ]


def test_without_triton_the_error_says_what_to_do(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("latent.kernels.cuda")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ModuleNotFoundError, match=r"CUDA tensors wants Triton: pip install triton, or"):
        importlib.import_module(BACKENDS["cuda"])


def test_an_empty_batch(kernels):
    scores, lengths = torch.zeros(0, 4, 4, device=DEVICE), torch.zeros(0, dtype=torch.int64, device=DEVICE)
    found = kernels.sparsemap(scores, lengths, True, 1e-8, 100)
    assert len(found.trees) == len(found.weights) == 0
    for result in (
        kernels.map(scores, lengths, True),
        kernels.marginals(scores, lengths, True)[0],
        kernels.marginals_vjp(scores, lengths, scores, True),
        found.mu,
        kernels.sparsemap_vjp(found.trees, found.first, found.sizes, lengths, scores),
    ):
        assert result.shape == scores.shape


def test_importing_latent_imports_no_triton():
    code = "import sys, latent.structures, latent.kernels; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(
    not ON_GPU, reason="no GPU here; the tests above run the kernels under Triton's interpreter"
)
class TestProjectiveTreeOnGpu(ProjectiveContract):
    """All that is asked of projective trees, on CUDA tensors."""

    device = "cuda"


del ProjectiveContract  # its tests run where it is defined
