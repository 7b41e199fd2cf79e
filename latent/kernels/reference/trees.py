"""All tree kernels from two functions of a kind of tree: its log-partition and its best trees."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from types import ModuleType
from typing import TypeVar

import torch
from torch import Tensor

from latent.kernels import Projection, TreeKernels
from latent.kernels.reference import nonprojective, projective
from latent.kernels.reference.prepare import Prepared, check_trees, prepare
from latent.kernels.reference.search import best_k, mixture, onto_directions, project

Function = TypeVar("Function", bound=Callable[..., object])


def with_autograd(function: Function) -> Function:
    """Run a function where autograd works: in a thread of its own.

    torch runs an operator below autograd, and in the caller's inference mode; both end with the thread.
    """

    @wraps(function)
    def elsewhere(*arguments: object, **options: object) -> object:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function, *arguments, **options).result()

    return elsewhere  # type: ignore[return-value]


class ReferenceTrees(TreeKernels):
    """Inference in float64 by autograd and search; `kind` has `log_partition` and `best_trees`."""

    def __init__(self, name: str, kind: ModuleType) -> None:
        self.name, self.kind = name, kind

    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.map`."""
        return self._best("map", scores, lengths, single_root).to(scores.dtype)

    @with_autograd
    def _best(self, operation: str, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        operation = f"{self.name}: {operation}"
        given = prepare(operation, scores, lengths)
        z: Tensor = self.kind.best_trees(given.scores, given.words, single_root)
        check_trees(operation, (z * given.scores).flatten(1).sum(1), given.floor, scores, lengths)
        return z

    def log_partition(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.log_partition`."""
        return self._sums("log_partition", scores, lengths, single_root)[1].to(scores.dtype)

    def marginals(self, scores: Tensor, lengths: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
        """See `TreeKernels.marginals`."""
        mu, log_z = self._sums("marginals", scores, lengths, single_root)
        return mu.to(scores.dtype), log_z.to(scores.dtype)

    @with_autograd
    def _sums(
        self, operation: str, scores: Tensor, lengths: Tensor, single_root: bool
    ) -> tuple[Tensor, Tensor]:
        operation = f"{self.name}: {operation}"
        given = prepare(operation, scores, lengths)
        leaf = given.scores.requires_grad_()
        log_z = self.kind.log_partition(leaf, given.words, single_root)
        (mu,) = torch.autograd.grad(log_z.sum(), leaf)
        check_trees(operation, log_z.detach(), given.floor, scores, lengths)
        return torch.where(given.allowed, mu, 0), log_z.detach() + given.shift

    @with_autograd
    def marginals_vjp(self, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.marginals_vjp`; by differentiating the log-partition twice."""
        given = prepare(f"{self.name}: marginals", scores, lengths)
        direction = torch.where(given.allowed, gradient.detach().double(), 0)
        leaf = given.scores.requires_grad_()
        log_z = self.kind.log_partition(leaf, given.words, single_root)
        (mu,) = torch.autograd.grad(log_z.sum(), leaf, create_graph=True)
        (through,) = torch.autograd.grad((mu * direction).sum(), leaf)
        return torch.where(given.allowed, through, 0).to(scores.dtype)

    def sparsemap(
        self, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
    ) -> Projection:
        """See `TreeKernels.sparsemap`."""
        self._best("sparsemap", scores, lengths, single_root)
        mu = scores.new_zeros(scores.shape, dtype=torch.float64)
        found = []
        for b, n in enumerate(lengths.tolist()):
            own = _only_arcs(scores[b, : n + 1, : n + 1])
            trees, weights, gap, steps = project(own, lambda s: self._heads(s, single_root), tol, max_iter)
            mu[b, : n + 1, : n + 1] = mixture(trees, weights)
            padded = torch.nn.functional.pad(trees, (0, scores.shape[1] - 1 - n))
            found.append((padded.to(torch.int16), weights, gap, steps))
        trees_of, weights_of, gaps, steps_of = zip(*found, strict=True)
        sizes = torch.tensor([len(weights) for weights in weights_of], device=scores.device)
        return Projection(
            mu.to(scores.dtype),
            torch.cat(trees_of),
            torch.cat(weights_of),
            sizes.cumsum(0) - sizes,
            sizes,
            torch.tensor(gaps, dtype=torch.float64, device=scores.device),
            torch.tensor(steps_of, device=scores.device),
        )

    @with_autograd
    def _heads(self, scores: Tensor, single_root: bool) -> Tensor:
        """The heads of the best trees of sentences of full length, whether or not they are allowed."""
        lengths = torch.full((len(scores),), scores.shape[1] - 1)
        given: Prepared = prepare(self.name, scores, lengths)
        z: Tensor = self.kind.best_trees(given.scores, given.words, single_root)
        return z.argmax(1)[:, 1:]

    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """See `TreeKernels.sparsemap_vjp`; by a pseudo-inverse."""
        out = torch.zeros_like(gradient)
        for b, (start, size, n) in enumerate(
            zip(*(x.tolist() for x in (first, sizes, lengths)), strict=True)
        ):
            block = (b, slice(0, n + 1), slice(0, n + 1))
            own = trees[start : start + size, :n].long()
            arcs = torch.where(mixture(own, own.new_ones(size).double()) > 0, gradient[block].double(), 0)
            out[block] = onto_directions(own, arcs).to(out.dtype)
        return out

    def sample(self, scores: Tensor, lengths: Tensor, seeds: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.sample`. One word after the other, given the heads that are drawn already."""
        z = torch.zeros_like(scores)
        left = scores.detach().to(torch.float64, copy=True, memory_format=torch.contiguous_format)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        sentences = torch.arange(len(scores), device=scores.device)
        for word in range(1, scores.shape[1]):
            mu = self._sums("sample", left, lengths, single_root)[0][:, :, word].cumsum(1)
            draw = torch.cat([torch.rand(1, generator=one, dtype=torch.float64) for one in generators])
            head = torch.searchsorted(mu, draw.to(mu)[:, None] * mu[:, -1:], right=True)[:, 0]
            here = sentences[word <= lengths.to(scores.device)]
            head = head[here]
            z[here, head, word] = 1
            kept = left[here, head, word]
            left[here, :, word] = -math.inf
            left[here, head, word] = kept
        return z

    def kbest(
        self, scores: Tensor, lengths: Tensor, k: int, single_root: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `TreeKernels.kbest`."""
        self._best("kbest", scores, lengths, single_root)
        batch, n = len(scores), scores.shape[1] - 1
        values = torch.full((batch, k), -math.inf, dtype=torch.float64)
        heads = torch.zeros(batch, k, n, dtype=torch.int64)
        counts = torch.zeros(batch, dtype=torch.int64)
        for b, words in enumerate(lengths.tolist()):
            own = _only_arcs(scores[b, : words + 1, : words + 1])
            found = best_k(own, lambda s: self._heads(s, single_root), k)
            counts[b] = len(found)
            for i, (value, tree) in enumerate(found):
                values[b, i], heads[b, i, :words] = value, tree
        return values, heads, counts


def _only_arcs(scores: Tensor) -> Tensor:
    """One sentence's scores in float64, -inf for what is no arc."""
    place = torch.arange(len(scores), device=scores.device)
    arcs = (place[:, None] != place) & (place > 0)
    return torch.where(arcs, scores.detach().double(), -math.inf)


TREES: dict[str, TreeKernels] = {
    "projective": ReferenceTrees("projective tree", projective),
    "nonprojective": ReferenceTrees("non-projective tree", nonprojective),
}
"""The structures, by name."""
