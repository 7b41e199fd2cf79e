"""Tree inference as torch operators: what autograd and `torch.compile` know of the kernels.

Each operator names the structure and runs on the back end of the tensors' device. The backward pass of the
marginals is a kernel of its own; no graph is ever built through a chart.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from latent.kernels import TreeKernels, tree_kernels


class Operator:
    """A function on tensors that is a torch operator where somebody watches: a compiler, a tensor mode.

    Otherwise it is called as it is, or as a plain node of autograd, which saves what an operator's call
    costs: more than a short MAP.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.operator = custom_op(f"understory::{function.__name__}", mutates_args=())(function)
        self.node: Callable[..., Any] = self.operator

    def register_autograd(self, backward: Callable[..., Any], setup_context: Callable[..., Any]) -> None:
        """Say how to differentiate it: see `torch.library.register_autograd`."""
        self.operator.register_autograd(backward, setup_context=setup_context)

        def forward(ctx: Any, *inputs: Any) -> Any:
            output = self.function(*inputs)
            setup_context(ctx, inputs, output)
            return output

        methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        self.node = type(self.function.__name__, (torch.autograd.Function,), methods).apply  # type: ignore[attr-defined]

    def __call__(self, structure: str, *arguments: Any) -> Any:
        """Call it on the tensors of a structure."""
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        if torch.compiler.is_compiling() or any(type(tensor) not in PLAIN for tensor in tensors):
            return self.operator(structure, *arguments)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return self.node(structure, *arguments)
        return self.function(structure, *arguments)


PLAIN = (Tensor, torch.nn.Parameter)


def _kernels(structure: str, scores: Tensor) -> TreeKernels:
    return tree_kernels(structure, scores.device.type)


@Operator
def tree_map(structure: str, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
    """The best trees; no gradient."""
    return _kernels(structure, scores).map(scores, lengths, single_root)


@Operator
def tree_sample(structure: str, scores: Tensor, lengths: Tensor, seeds: Tensor, single_root: bool) -> Tensor:
    """Exact draws; no gradient."""
    return _kernels(structure, scores).sample(scores, lengths, seeds, single_root)


@Operator
def tree_log_partition(structure: str, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
    """The log-partitions without a gradient: the inside pass alone."""
    return _kernels(structure, scores).log_partition(scores, lengths, single_root)


@Operator
def tree_marginals(
    structure: str, scores: Tensor, lengths: Tensor, single_root: bool
) -> tuple[Tensor, Tensor]:
    """The marginals and the log-partitions."""
    return _kernels(structure, scores).marginals(scores, lengths, single_root)


@Operator
def tree_marginals_vjp(
    structure: str, scores: Tensor, lengths: Tensor, gradient: Tensor, single_root: bool
) -> Tensor:
    """The Jacobian of the marginals times a gradient."""
    return _kernels(structure, scores).marginals_vjp(scores, lengths, gradient, single_root)


@Operator
def tree_sparsemap(
    structure: str, scores: Tensor, lengths: Tensor, single_root: bool, tol: float, max_iter: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The fields of a `latent.kernels.Projection`."""
    return tuple(_kernels(structure, scores).sparsemap(scores, lengths, single_root, tol, max_iter))  # type: ignore[return-value]


@Operator
def tree_sparsemap_vjp(
    structure: str, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
) -> Tensor:
    """The gradient projected onto the directions of the support's affine hull."""
    return _kernels(structure, gradient).sparsemap_vjp(trees, first, sizes, lengths, gradient)


def _like_scores(structure: str, scores: Tensor, *rest: Any) -> Tensor:
    return scores.new_empty(scores.shape)


for operator in (tree_map, tree_sample, tree_marginals_vjp):
    operator.operator.register_fake(_like_scores)


@tree_log_partition.operator.register_fake
def _(structure: str, scores: Tensor, lengths: Tensor, single_root: bool) -> Tensor:
    return scores.new_empty(scores.shape[0])


@tree_marginals.operator.register_fake
def _(structure: str, scores: Tensor, lengths: Tensor, single_root: bool) -> tuple[Tensor, Tensor]:
    return scores.new_empty(scores.shape), scores.new_empty(scores.shape[0])


@tree_sparsemap.operator.register_fake
def _(structure: str, scores: Tensor, lengths: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    total = torch.library.get_ctx().new_dynamic_size()
    batch, size = scores.shape[:2]
    counts = (scores.new_empty(batch, dtype=torch.int64) for _ in range(3))
    return (
        scores.new_empty(scores.shape),
        scores.new_empty(total, size - 1, dtype=torch.int16),
        scores.new_empty(total, dtype=torch.float64),
        next(counts),
        next(counts),
        scores.new_empty(batch, dtype=torch.float64),
        next(counts),
    )


@tree_sparsemap_vjp.operator.register_fake
def _(
    structure: str, trees: Tensor, first: Tensor, sizes: Tensor, lengths: Tensor, gradient: Tensor
) -> Tensor:
    return gradient.new_empty(gradient.shape)


def _keep_marginals(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.structure, scores, lengths, ctx.single_root = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(scores, lengths, output[0])


def _marginals_backward(
    ctx: Any, for_marginals: Tensor | None, for_log_partition: Tensor | None
) -> tuple[None, Tensor | None, None, None]:
    """∂μ/∂s is symmetric, and ∂ log Z/∂s = μ, which autograd can differentiate again."""
    scores, lengths, marginals = ctx.saved_tensors
    gradient = None
    if for_log_partition is not None:
        gradient = for_log_partition[:, None, None] * marginals
    if for_marginals is not None:
        through = tree_marginals_vjp(ctx.structure, scores, lengths, for_marginals, ctx.single_root)
        gradient = through if gradient is None else gradient + through
    return None, gradient, None, None


tree_marginals.register_autograd(_marginals_backward, _keep_marginals)


def _keep_support(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.structure, lengths = inputs[0], inputs[2]
    _, trees, _, first, sizes, _, _ = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(trees, first, sizes, lengths)


def _sparsemap_backward(ctx: Any, gradient: Tensor | None, *unused: Any) -> tuple[Any, ...]:
    if gradient is None:
        return (None,) * 6
    trees, first, sizes, lengths = ctx.saved_tensors
    through = tree_sparsemap_vjp(ctx.structure, trees, first, sizes, lengths, gradient)
    return None, through, None, None, None, None


tree_sparsemap.register_autograd(_sparsemap_backward, _keep_support)
