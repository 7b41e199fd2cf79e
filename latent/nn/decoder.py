"""From the states of a sentence's words, and their heads, to one vector of logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latent.nn.encoder import word_mask
from latent.nn.head_context import head_context


class HeadDecoder(nn.Module):
    r"""Give each word its head's vector, attend over the words, and classify.

    .. math:: u_m = \mathrm{ReLU}(A [x_m; c_m] + a), \qquad
              \alpha = \mathrm{softmax}_m(q^\top u_m), \qquad
              y = B \sum_m \alpha_m u_m + b

    with :math:`c_m` the head context of word m. Source: understanding-spigot, section 7.2.1.

    Shapes: states ``(batch, n+1, state_size)``, structure ``(batch, n+1, n+1)``, lengths ``(batch,)`` to
    logits ``(batch, labels)``.
    """

    def __init__(self, state_size: int, labels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(2 * state_size, state_size)
        self.query = nn.Linear(state_size, 1)
        self.output = nn.Linear(state_size, labels)

    def forward(self, states: Tensor, structure: Tensor | None, lengths: Tensor) -> Tensor:
        """Return the logits of each sentence."""
        if structure is None:
            raise ValueError("decode: this classifier needs a structure (batch, n+1, n+1); got None")
        words = states[:, 1:]
        pairs = torch.cat([words, head_context(structure, states)], dim=-1)
        hidden = torch.relu(self.affine(pairs))
        outside = ~word_mask(lengths, words.shape[1])
        attention = self.query(hidden).squeeze(-1).masked_fill(outside, -torch.inf).softmax(-1)
        logits: Tensor = self.output(torch.einsum("bm,bmd->bd", attention, hidden))
        return logits


class SumDecoder(nn.Module):
    """Classify the sum of the words' states with a two-layer ReLU network: the baseline without a tree.

    Shapes: states ``(batch, n+1, state_size)`` to logits ``(batch, labels)``. States are zeros at padding.
    """

    def __init__(self, state_size: int, labels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(state_size, state_size)
        self.output = nn.Linear(state_size, labels)

    def forward(self, states: Tensor, structure: Tensor | None, lengths: Tensor) -> Tensor:
        """Return the logits of each sentence."""
        if structure is not None:
            raise ValueError("decode: a classifier without trees takes structure None; got a tensor")
        logits: Tensor = self.output(torch.relu(self.hidden(states[:, 1:].sum(1))))
        return logits
