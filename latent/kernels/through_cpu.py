"""The back end of devices without kernels of their own: tensors go to the CPU, results come back."""

from __future__ import annotations

from torch import Tensor

from latent.kernels import BACKENDS, Projection, TreeKernels, kernels_of


class ThroughCpu(TreeKernels):
    """The CPU's kernels for tensors of any device, at the price of two copies and a synchronisation."""

    def __init__(self, structure: str) -> None:
        self.cpu = kernels_of(structure, BACKENDS["cpu"])

    def map(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.map`."""
        return self.cpu.map(scores.cpu(), lengths.cpu(), single_root).to(scores.device)

    def log_partition(self, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.log_partition`."""
        return self.cpu.log_partition(scores.cpu(), lengths.cpu(), single_root).to(scores.device)

    def marginals(self, scores: Tensor, lengths: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
        """See `TreeKernels.marginals`."""
        mu, log_z = self.cpu.marginals(scores.cpu(), lengths.cpu(), single_root)
        return mu.to(scores.device), log_z.to(scores.device)

    def marginals_vjp(self, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.marginals_vjp`."""
        through = self.cpu.marginals_vjp(scores.cpu(), lengths.cpu(), gradient.cpu(), single_root)
        return through.to(scores.device)

    def sparsemap(
        self, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
    ) -> Projection:
        """See `TreeKernels.sparsemap`."""
        found = self.cpu.sparsemap(scores.cpu(), lengths.cpu(), single_root, tol, max_iter)
        return Projection(*(part.to(scores.device) for part in found))

    def sparsemap_vjp(
        self, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
    ) -> Tensor:
        """See `TreeKernels.sparsemap_vjp`."""
        support = trees.cpu(), first.cpu(), sizes.cpu()
        return self.cpu.sparsemap_vjp(*support, lengths.cpu(), gradient.cpu()).to(gradient.device)

    def sample(self, scores: Tensor, lengths: Tensor, seeds: Tensor, single_root: bool) -> Tensor:
        """See `TreeKernels.sample`."""
        return self.cpu.sample(scores.cpu(), lengths.cpu(), seeds.cpu(), single_root).to(scores.device)

    def kbest(
        self, scores: Tensor, lengths: Tensor, k: int, single_root: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `TreeKernels.kbest`."""
        return self.cpu.kbest(scores.cpu(), lengths.cpu(), k, single_root)


TREES: dict[str, TreeKernels] = {name: ThroughCpu(name) for name in ("projective", "nonprojective")}
