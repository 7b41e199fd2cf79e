"""What each word takes of its head, under a structure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear


def head_context(structure: Tensor, states: Tensor, own: Tensor | None = None) -> Tensor:
    r"""Average the states of each modifier's possible heads under a structure.

    .. math:: c_m = o_m + \sum_{h=0}^{n} z_{h \to m} \, x_h

    For a single tree this is the state of the word's one head; for marginals or a mixture of trees it is
    the expected head (understanding-spigot, section 7.2.1). Without ``own``, :math:`o` is zero.

    Args:
        structure: ``(S · batch, n+1, n+1)``, indexed ``[b, head, modifier]``, the root at index 0; the second
            structure of every sentence comes after the first of all.
        states: ``(batch, n+1, dim)``, the root's vector at index 0.
        own: ``(batch, n, dim)``: what is added for each word, whatever its head.

    Returns:
        ``(S · batch, n, dim)``: one vector a word, none for the root; ``own`` or zeros at padding.

    Raises:
        ValueError: for a structure that is not of these sentences.

    Cost: one batched matrix product, O(S · batch · n² · dim).
    """
    check_structure(structure, states)
    copies = torch.split(structure[:, :, 1:].transpose(1, 2), len(states))
    if own is None:
        contexts = [torch.bmm(heads, states) for heads in copies]
    else:
        contexts = [torch.baddbmm(own, heads, states) for heads in copies]
    return contexts[0] if len(contexts) == 1 else torch.cat(contexts)


def check_structure(structure: Tensor, states: Tensor) -> None:
    """Raise unless a structure ``(S · batch, n+1, n+1)`` is of sentences with states ``(batch, n+1, …)``."""
    batch, nodes = states.shape[:2]
    if structure.shape[1:] != (nodes, nodes) or len(structure) % batch:
        raise ValueError(
            f"head_context: structure must be (S · batch, n+1, n+1) for states (batch, n+1, dim); "
            f"got {tuple(structure.shape)} and {tuple(states.shape)}"
        )


def project(weight: Tensor, bias: Tensor, states: Tensor, head_scale: float = 1.0) -> Tensor:
    r"""Do the part of a linear layer on each word and its head that no structure changes.

    .. math:: W [x_m; r c_m] + b = (W_1 x_m + b) + \sum_h z_{h \to m} \, r W_2 x_h

    So its products are taken once, however many structures the words are read under.

    Args:
        weight: ``(out, 2 · dim)``, :math:`W_1` and :math:`W_2` side by side.
        bias: ``(out,)``.
        states: ``(batch, n+1, dim)``, the root's vector at index 0.
        head_scale: :math:`r`.

    Returns:
        ``(batch, n+1, 2 · out)``: :math:`W_1 x + b` and :math:`r W_2 x` of each state, side by side.

    Cost: one matrix product, O(batch · n · dim · out).
    """
    on_words, on_heads = weight.chunk(2, dim=1)
    halves = torch.cat([on_words, head_scale * on_heads])
    return linear(states, halves, torch.cat([bias, torch.zeros_like(bias)]))
