"""Each word's head, as a vector."""

from __future__ import annotations

import torch
from torch import Tensor


def head_context(structure: Tensor, states: Tensor) -> Tensor:
    r"""Average the states of each modifier's possible heads under a structure.

    .. math:: c_m = \sum_{h=0}^{n} z_{h \to m} \, x_h

    For a single tree this is the state of the word's one head; for marginals or a mixture of trees it is
    the expected head (understanding-spigot, section 7.2.1).

    Args:
        structure: ``(batch, n+1, n+1)``, indexed ``[b, head, modifier]``, the root at index 0.
        states: ``(batch, n+1, dim)``, the root's vector at index 0.

    Returns:
        ``(batch, n, dim)``: one vector a word, none for the root, zeros at padding.

    Cost: one batched matrix product, O(batch · n² · dim).
    """
    nodes = states.shape[1]
    if structure.shape != (states.shape[0], nodes, nodes):
        raise ValueError(
            f"head_context: structure must be (batch, n+1, n+1) for states (batch, n+1, dim); "
            f"got {tuple(structure.shape)} and {tuple(states.shape)}"
        )
    return torch.einsum("bhm,bhd->bmd", structure[:, :, 1:], states)
