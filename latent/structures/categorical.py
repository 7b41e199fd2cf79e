r"""A choice of one among K: argmax, softmax, sparsemax and entmax under the names that trees use."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latent.structures.base import ProjectionInfo, Structure, Support, check_scores

BISECTIONS = 60
"""Halvings of an interval of length 1: below the resolution of a double."""

FEW = 16
"""Fewer choices than fill a vector register: along these torch goes one by one."""


class Categorical(Structure):
    r"""One of K choices; scores are (batch, K), and `lengths` is taken and ignored.

    >>> import torch
    >>> categorical = Categorical()
    >>> categorical.sparsemap(torch.tensor([[1.0, 0.5, -1.0]]))
    tensor([[0.7500, 0.2500, 0.0000]])
    >>> categorical.support(torch.tensor([[1.0, 0.5, -1.0]]))
    [[(0.75, [0]), (0.25, [1])]]
    """

    name = "categorical"

    def __repr__(self) -> str:
        return "Categorical()"

    def __eq__(self, other: object) -> bool:
        return type(other) is Categorical

    def __hash__(self) -> int:
        return hash(Categorical)

    def _check(self, operation: str, scores: Tensor) -> None:
        name = f"{self.name}: {operation}"
        check_scores(name, scores)
        if scores.dim() != 2 or scores.shape[1] < 1:
            raise ValueError(f"{name}: scores must be (batch, K); got {tuple(scores.shape)}")
        if torch.compiler.is_compiling():
            return
        best = scores.detach().amax(1)
        wrong = ~best.isfinite()  # NaN wins every maximum
        if bool(wrong.any()):
            b = int(wrong.nonzero()[0, 0])
            problem = "has no choice left: every score is -inf" if best[b] == -torch.inf else "is NaN or +inf"
            raise ValueError(f"{name}: example {b} of the batch {problem}")

    def mask(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """True everywhere: every choice is a part."""
        check_scores("categorical: mask", scores)
        return torch.ones_like(scores, dtype=torch.bool)

    def map(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The best choice, the first of several equal ones, as a one-hot vector."""
        self._check("map", scores)
        if scores.shape[1] < FEW and not torch.compiler.is_compiling():
            columns = _columns(scores.detach())
            best = columns == columns.amax(0)
            if int(best.count_nonzero()) == len(scores):  # none are equal
                return _laid_out(best.to(scores.dtype), scores)
        first = scores.detach().argmax(1, keepdim=True)
        return torch.zeros_like(scores, requires_grad=False).scatter_(1, first, 1)

    def marginals(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The softmax."""
        self._check("marginals", scores)
        return _softmax(scores)

    def _project(
        self, scores: Tensor, lengths: Tensor | None, tol: float | None, max_iter: int | None
    ) -> tuple[Tensor, ProjectionInfo]:
        self._check("sparsemap", scores)
        mu = _Sparsemax.apply(scores)  # type: ignore[no-untyped-call]
        none = scores.new_zeros(scores.shape[0], dtype=torch.float64)
        return mu, ProjectionInfo(none, none.long())

    def entmax(self, scores: Tensor, lengths: Tensor | None = None, *, alpha: float = 1.5) -> Tensor:
        r"""$\arg\max_{p \in \triangle} p \cdot s + H_\alpha(p)$ with Tsallis' entropy.

        $p = [(\alpha - 1) s - \tau]_+^{1/(\alpha-1)}$, $\tau$ by bisection; $\alpha = 1$ is the softmax, 2
        sparsemax. The Jacobian is $\mathrm{diag}(u) - uu^\top / \lVert u \rVert_1$ with $u = p^{2-\alpha}$ on
        the support. Time O(K) per bisection.

        Source: Peters et al. 2019, Sparse Sequence-to-Sequence Models, section 4.
        """
        self._check("entmax", scores)
        if not alpha >= 1:
            raise ValueError(f"{self.name}: entmax wants alpha ≥ 1; got {alpha}")
        if alpha == 1:
            return _softmax(scores)
        if alpha == 2:
            return self.sparsemap(scores)
        p: Tensor = _Entmax.apply(scores, float(alpha))  # type: ignore[no-untyped-call]
        return p

    def support(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> list[Support]:
        """The choices that sparsemax gives a weight, heaviest first."""
        weights, order = self.sparsemap(scores.detach().double()).sort(dim=1, descending=True, stable=True)
        return [
            [(weight, [k]) for weight, k in zip(*row, strict=True) if weight > 0]
            for row in zip(weights.tolist(), order.tolist(), strict=True)
        ]

    def kbest(self, scores: Tensor, lengths: Tensor | None, k: int) -> list[Support]:
        """The k best choices that are not forbidden, best first."""
        self._check("kbest", scores)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"{self.name}: kbest wants an integer k ≥ 1; got {k!r}")
        best, order = scores.detach().sort(dim=1, descending=True, stable=True)
        return [
            [(score, [i]) for score, i in zip(*row, strict=True) if score > -torch.inf]
            for row in zip(best[:, :k].tolist(), order[:, :k].tolist(), strict=True)
        ]

    def sample(
        self, scores: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """A draw from the softmax, as a one-hot vector: the distribution function is inverted, in float64."""
        self._check("sample", scores)
        columns = _columns(scores.detach()).softmax(0, dtype=torch.float64).cumsum_(0)
        uniform = torch.rand(len(scores), dtype=torch.float64, device=scores.device, generator=generator)
        # Where a probability is zero the function is flat, and passes nothing; the last value passes all.
        passed = (columns[:-1] <= uniform * columns[-1]).to(scores.dtype)
        edge = passed.new_ones(1, len(scores))
        steps = torch.cat([edge, passed, torch.zeros_like(edge)])
        return _laid_out(steps[:-1] - steps[1:], scores)

    def log_partition(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The log-sum-exp."""
        self._check("log_partition", scores)
        return scores.logsumexp(1)

    def entropy(self, scores: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The entropy of the softmax."""
        self._check("entropy", scores)
        log_p = scores.double().log_softmax(1)
        p = log_p.exp()
        return -(p * log_p.masked_fill(p == 0, 0)).sum(1).to(scores.dtype)


def _columns(scores: Tensor) -> Tensor:
    """(K, batch), contiguous: torch works along the batch many times faster than along a few choices."""
    return scores.mT.contiguous()


def _laid_out(columns: Tensor, like: Tensor) -> Tensor:
    """(batch, K) of (K, batch), in the memory layout of the scores, so that all that follows keeps to it."""
    rows: Tensor = columns.mT
    return rows.contiguous() if like.is_contiguous() else rows


def _for_kernels(scores: Tensor) -> bool:
    """Whether the rows lie as the CPU kernels want them: anything else is done in plain torch."""
    fits = scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
    return fits and scores.is_contiguous() and not torch.compiler.is_compiling()


@cache
def _kernels() -> ModuleType:
    return import_module("latent.kernels.cpu.categorical")


def _softmax(scores: Tensor) -> Tensor:
    if scores.shape[1] >= FEW:
        return scores.softmax(1)
    return _laid_out(_columns(scores).softmax(0), scores)


class _Sparsemax(torch.autograd.Function):
    """The projection onto the simplex, [s - τ]₊, by Newton's method on the mass Σ [s - τ]₊ = 1.

    From below τ only rises and the support only shrinks: where it does not, τ is exact. No entry more than 1
    below the best is in the support, so a few rounds do, and no sort is needed (Michelot 1986).
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        p = _kernels().sparsemax(scores) if _for_kernels(scores) else _Sparsemax.project(scores)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def project(scores: Tensor) -> Tensor:
        """The projection in plain torch."""
        x = _columns(scores if scores.dtype == torch.float64 else scores.float())
        x = (x - x.amax(0)).clamp_(min=-1)
        tau, count = torch.full_like(x[0], -1), torch.zeros_like(x[0])
        while True:
            p = (x - tau).clamp_(min=0)
            support = p.sign().sum(0)
            if torch.equal(support, count):
                break
            count = support
            tau = torch.maximum(tau, tau + (p.sum(0) - 1) / count)
        return _laid_out(p.to(scores.dtype), scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Subtract the mean over the support, and drop the rest."""
        (p,) = ctx.saved_tensors
        if _for_kernels(p):
            derivative: Tensor = _kernels().sparsemax_vjp(p, gradient)
            return derivative
        support = p > 0
        kept = torch.where(support, gradient, 0)
        mean = kept.sum(1, keepdim=True) / support.sum(1, keepdim=True)
        result: Tensor = kept - support * mean
        return result


class _Entmax(torch.autograd.Function):
    """α-entmax by bisection for the threshold τ, which lies in [max - 1, max) of (α-1)·s."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, alpha: float) -> Tensor:
        x = (alpha - 1) * scores.double()
        x = x - x.amax(1, keepdim=True)
        low, width = torch.full_like(x[:, :1], -1.0), 1.0
        for _ in range(BISECTIONS):
            width /= 2
            mass = (x - low - width).clamp_(min=0).pow_(1 / (alpha - 1)).sum(1, keepdim=True)
            low = torch.where(mass >= 1, low + width, low)
        p = (x - low).clamp_(min=0).pow_(1 / (alpha - 1))
        p = (p / p.sum(1, keepdim=True)).to(scores.dtype)
        ctx.save_for_backward(p)
        ctx.alpha = alpha
        return p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (p,) = ctx.saved_tensors
        u = torch.where(p > 0, p, 1).pow(2 - ctx.alpha) * (p > 0)
        weighted = torch.where(p > 0, gradient, 0) * u
        return weighted - u * (weighted.sum(1, keepdim=True) / u.sum(1, keepdim=True)), None
