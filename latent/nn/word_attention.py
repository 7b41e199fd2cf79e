"""From a sentence's words, each with its heads' vectors, to one vector: attention by one query."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latent.kernels.cpu import threads, word_attention
from latent.nn.encoder import check_lengths, word_mask
from latent.nn.head_context import check_structure, head_context

_SECONDS_A_TERM = 1e-10


def attend(nodes: Tensor, structure: Tensor, query: Tensor, bias: Tensor, lengths: Tensor) -> Tensor:
    r"""Read each word with its heads, weigh the words by a query, and add up.

    .. math:: u_m = \mathrm{ReLU}(o_m + \sum_h z_{h \to m} a_h), \qquad
              \alpha = \mathrm{softmax}_m(q^\top u_m + b), \qquad v = \sum_m \alpha_m u_m

    On a CPU all of it is one pass over the arcs, in single precision at the least.

    Args:
        nodes: ``(batch, n+1, 2 · size)``: :math:`o` and :math:`a` of each node side by side, the root at 0.
        structure: ``(S · batch, n+1, n+1)``, indexed ``[b, head, modifier]``; the second structure of every
            sentence comes after the first of all.
        query: ``(size,)``.
        bias: ``(1,)``, which no softmax notices: its gradient is zero, where rounding would leave something
            for Adam to magnify.
        lengths: ``(batch,)``, the words of each sentence.

    Returns:
        ``(S · batch, size)``.

    Raises:
        ValueError: for a structure or lengths that are not of these sentences.

    Cost: O(S · batch · n · size) for trees, O(S · batch · n² · size) for mixtures of all. Source:
    understanding-spigot, section 7.2.1.
    """
    return (fused if nodes.device.type == "cpu" else plain)(nodes, structure, query, bias, lengths)


def plain(nodes: Tensor, structure: Tensor, query: Tensor, bias: Tensor, lengths: Tensor) -> Tensor:
    """Attend by the formula as it stands, on any device."""
    own, as_head = nodes.chunk(2, dim=-1)
    hidden = torch.relu(head_context(structure, as_head, own[:, 1:]))
    inside = word_mask(lengths, hidden.shape[1]).repeat(len(hidden) // len(lengths), 1)
    importance = hidden @ query.to(hidden.dtype) + 0 * bias
    attention = importance.masked_fill(~inside, -torch.inf).softmax(-1)
    return torch.einsum("bm,bmd->bd", attention, hidden)


def fused(nodes: Tensor, structure: Tensor, query: Tensor, bias: Tensor, lengths: Tensor) -> Tensor:
    """Attend in one pass over the arcs, on a CPU; half precision is computed in single."""
    check_structure(structure, nodes)
    check_lengths(lengths, nodes.shape[1])
    dtype = nodes.dtype if nodes.dtype == torch.float64 else torch.float32
    arguments = (nodes.to(dtype), structure.to(dtype), query.to(dtype), bias, lengths)
    pooled: Tensor = _FusedAttention.apply(*arguments)  # type: ignore[no-untyped-call]
    return pooled


class _FusedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, nodes: Tensor, structure: Tensor, query: Tensor, bias: Tensor, lengths: Tensor
    ) -> Tensor:
        nodes, structure, query = (t.detach().contiguous() for t in (nodes, structure, query))
        count, width, size = len(structure), nodes.shape[1] - 1, len(query)
        hidden = nodes.new_empty(count, width, size)
        attention, pooled = nodes.new_zeros(count, width), nodes.new_zeros(count, size)
        tensors = (nodes, structure, query, lengths, hidden, attention, pooled)
        threads.run_on(word_attention.forward, tensors, structure.numel() * size * _SECONDS_A_TERM)
        ctx.save_for_backward(*tensors)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        nodes, structure, query, *_ = ctx.saved_tensors
        batch, width, size = len(nodes), nodes.shape[1] - 1, len(query)
        wanted = ctx.needs_input_grad[:3]
        shapes = (nodes.shape, structure.shape, (batch, size))
        found = [nodes.new_zeros(s if w else [0] * len(s)) for w, s in zip(wanted, shapes, strict=True)]
        scratch = nodes.new_empty(batch, width, size)
        tensors = (gradient.contiguous(), *ctx.saved_tensors, scratch, *found)
        threads.run_on(word_attention.backward, tensors, 2 * structure.numel() * size * _SECONDS_A_TERM)
        to_nodes, to_structure, to_query = (g if w else None for w, g in zip(wanted, found, strict=True))
        return to_nodes, to_structure, None if to_query is None else to_query.sum(0), nodes.new_zeros(1), None
