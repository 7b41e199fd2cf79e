"""Sparse expectations: the decoder sees every structure of SparseMAP's mixture, and nothing in between."""

from __future__ import annotations

import torch
from torch import Tensor

from latent.estimators import draws
from latent.estimators.base import Downstream, Estimator
from latent.estimators.hyperparameters import ProjectionOptions
from latent.structures.base import Structure, Support


class SparseExpectation(Estimator):
    r"""The exact expectation of the loss over SparseMAP's support, $\sum_t p_t L(z_t)$.

    The weights have their exact Jacobian on the support: they solve
    $\begin{pmatrix} Z Z^\top & 1 \\ 1^\top & 0 \end{pmatrix} \begin{pmatrix} p \\ \nu \end{pmatrix}
    = \begin{pmatrix} Z s \\ 1 \end{pmatrix}$ with the structures of the support in the rows of Z.

    Cost: one call of the decoder on T structures per example, T the largest support of the batch.
    """

    name = "sparse-expectation"
    title = "Expected loss over SparseMAP's support"
    source = "Niculae et al. 2018b"
    forward_formula = r"\Pi(s)"
    gradient_formula = r"\nabla_s \textstyle\sum_t p_t L(z_t)"
    forward_structure = "sparsemap"
    Options = ProjectionOptions
    options: ProjectionOptions

    def value(self, scores: Tensor, lengths: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Π(s), (batch, …); differentiable."""
        return self.structure.sparsemap(scores, lengths, tol=self.options.tol, max_iter=self.options.max_iter)

    def estimate(
        self,
        scores: Tensor,
        lengths: Tensor | None,
        downstream: Downstream,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The expected downstream loss (batch,)."""
        batch = len(scores)
        supports = self.structure.support(
            scores.detach(), lengths, tol=self.options.tol, max_iter=self.options.max_iter
        )
        z, used = vertices(supports, scores)
        losses = self.losses(downstream, z.flatten(0, 1), z.shape[0] * batch)
        weights = mixture_weights(self.structure, scores, lengths, z, used)
        return (weights * losses.reshape(-1, batch)).sum(0)


def vertices(supports: list[Support], scores: Tensor) -> tuple[Tensor, Tensor]:
    """The structures of ragged supports as (T, batch, …), and which of them are used, (T, batch).

    The rest repeats a structure of the same example.
    """
    size = max(len(support) for support in supports)
    z = scores.new_zeros(size, *scores.shape)
    used = torch.zeros(size, len(scores), dtype=torch.bool)
    for b, support in enumerate(supports):
        for t in range(size):
            set_parts(z[t, b], support[t][1] if t < len(support) else support[0][1])
            used[t, b] = t < len(support)
    return z, used.to(scores.device)


def set_parts(z: Tensor, parts: list[int]) -> None:
    """Write a structure into zeros: heads of a tree into (n+1, n+1), the index of a category into (K,)."""
    if z.dim() == 1:
        z[parts[0]] = 1
    elif z.dim() == 2:
        z[parts, range(1, len(parts) + 1)] = 1
    else:
        raise ValueError(
            f"sparse-expectation: a support's item must be heads or a category; got {z.dim()}-D z"
        )


def mixture_weights(
    structure: Structure, scores: Tensor, lengths: Tensor | None, z: Tensor, used: Tensor
) -> Tensor:
    """(T, batch): SparseMAP's weights of z (T, batch, …) where used, 0 elsewhere; differentiable."""
    count, batch = used.shape
    repeated, repeated_lengths = draws.copies_of(scores, lengths, count)
    score = structure.score(repeated, z.flatten(0, 1), repeated_lengths).reshape(count, batch)
    rows = z.flatten(2).transpose(0, 1).to(torch.float64)
    on = used.T
    # The weights sum to one, so that a one added to every product changes ν alone, and makes the Gram matrix
    # of affinely independent structures positive definite. (LU of a batch of some hundred structures never
    # returns with several threads in some builds of MKL.)
    gram = torch.where(on[:, :, None] & on[:, None, :], rows @ rows.mT + 1, torch.eye(count, device=z.device))
    ones = on.to(torch.float64)
    right = torch.stack([torch.where(on, score.T.to(torch.float64), 0), ones], -1)
    free, shift = torch.cholesky_solve(right, torch.linalg.cholesky(gram)).unbind(-1)
    excess = ((free * ones).sum(1) - 1) / (shift * ones).sum(1)
    return (free - excess[:, None] * shift).T.to(scores.dtype)
