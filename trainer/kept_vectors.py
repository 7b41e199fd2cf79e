"""An embedding table most of whose rows are kept as they are: only the others cost a step anything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


class KeptVectors(nn.Embedding):
    """An embedding of which some rows are trained, as a small table of their own beside a frozen one.

    Elsewhere it looks like the embedding that it was made from: its state has one weight, with the trained
    rows in their places. So a model is saved, and goes on, as if all rows were trained, most of them in vain.

    Args:
        whole: the embedding, with its values.
        trained: booleans ``(rows,)``.

    Cost: a step reads the rows of its words, and moves the trained ones; a table of the other rows' gradients
    is never made.
    """

    def __init__(self, whole: nn.Embedding, trained: Tensor) -> None:
        size = (whole.num_embeddings, whole.embedding_dim)
        super().__init__(*size, padding_idx=whole.padding_idx, _weight=whole.weight.detach(), _freeze=True)
        if whole.padding_idx is not None:
            trained = trained.clone()
            trained[whole.padding_idx] = False
        rows = trained.nonzero().squeeze(1)
        place = torch.full((len(trained),), len(rows)).index_copy(0, rows, torch.arange(len(rows)))
        self.own = nn.Parameter(self.weight[rows])
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("place", place, persistent=False)

    rows: Tensor
    """The trained rows."""
    place: Tensor
    """Where each row stands in ``own``; behind its end, if the row is kept."""

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors of the ids."""
        if not len(self.rows):
            return embedding(ids, self.weight)
        place = self.place[ids]
        kept = (place == len(self.rows)).unsqueeze(-1)
        own = embedding(place.clamp(max=len(self.rows) - 1), self.own)
        return torch.where(kept, embedding(ids, self.weight), own)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight.detach().index_copy(0, self.rows, self.own.detach())

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        weight = state_dict[f"{prefix}weight"]
        with torch.no_grad():
            self.weight.copy_(weight)
            self.own.copy_(self.weight[self.rows])
