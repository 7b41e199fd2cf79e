"""From the states of a sentence's words, and their heads, to one vector of logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latent.nn.encoder import word_mask
from latent.nn.head_context import Projected, project


class HeadDecoder(nn.Module):
    r"""Give each word its head's vector, attend over the words, and classify.

    .. math:: u_m = \mathrm{ReLU}(A [x_m; r c_m] + a), \qquad
              \alpha = \mathrm{softmax}_m(q^\top u_m), \qquad
              y = B \sum_m \alpha_m u_m + b

    with :math:`c_m` the head context of word m and :math:`r` the head scale, 1 in the source:
    understanding-spigot, section 7.2.1.

    Shapes: states ``(batch, n+1, state_size)``, projected once, structure ``(S · batch, n+1, n+1)`` and
    lengths ``(batch,)`` to logits ``(S · batch, labels)``.
    """

    def __init__(self, state_size: int, labels: int, head_scale: float = 1.0) -> None:
        super().__init__()
        self.head_scale = head_scale
        self.affine = nn.Linear(2 * state_size, state_size)
        self.query = nn.Linear(state_size, 1)
        # A softmax takes no notice of it: its gradient is zero but for rounding, which Adam would magnify.
        self.query.bias.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
        self.output = nn.Linear(state_size, labels)

    def project(self, states: Tensor) -> Projected:
        """Return what every structure of these sentences is decoded from."""
        return project(self.affine.weight, self.affine.bias, states, self.head_scale)

    def forward(self, projected: Projected, structure: Tensor | None, lengths: Tensor) -> Tensor:
        """Return the logits of each sentence under each of its structures."""
        if structure is None:
            raise ValueError("decode: this classifier needs a structure (batch, n+1, n+1); got None")
        hidden = torch.relu(projected.under(structure))
        inside = word_mask(lengths, hidden.shape[1]).repeat(len(hidden) // len(lengths), 1)
        attention = self.query(hidden).squeeze(-1).masked_fill(~inside, -torch.inf).softmax(-1)
        logits: Tensor = self.output(torch.einsum("bm,bmd->bd", attention, hidden))
        return logits


class SumDecoder(nn.Module):
    """Classify the sum of the words' states with a two-layer ReLU network: the baseline without a tree.

    Shapes: states ``(batch, n+1, state_size)``, zeros at padding and summed once, to logits
    ``(batch, labels)``.
    """

    def __init__(self, state_size: int, labels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(state_size, state_size)
        self.output = nn.Linear(state_size, labels)

    def project(self, states: Tensor) -> Tensor:
        """Return the sentences' sums ``(batch, state_size)``."""
        return states[:, 1:].sum(1)

    def forward(self, sums: Tensor, structure: Tensor | None, lengths: Tensor) -> Tensor:
        """Return the logits of each sentence."""
        if structure is not None:
            raise ValueError("decode: a classifier without trees takes structure None; got a tensor")
        logits: Tensor = self.output(torch.relu(self.hidden(sums)))
        return logits
