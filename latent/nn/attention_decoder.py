"""From the words of two sentences, and their heads, to one vector of logits."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from latent.nn.head_context import head_context, project


class PairProjection(NamedTuple):
    """What the decoder makes of the states, whatever the structure; a pair's sentences after each other."""

    states: Tensor
    """``(2 · batch, n+1, size)``, the root at index 0."""
    layers: Tensor
    r"""``(2 · batch, n+1, 3 · hidden_size)``: the first layers of F and, on :math:`a` and on :math:`b`, of G;
    beside them, where words are read with heads, the same of each state as a head."""


class AttentionDecoder(nn.Module):
    r"""Decomposable attention: align the words of both sentences, compare, and add up.

    .. math:: e_{ij} = F(a_i)^\top F(b_j) / \sqrt{d}, \quad
              \beta_i = \sum_j \mathrm{softmax}_j(e_{ij}) b_j, \quad
              v_1 = \sum_i G([a_i; \beta_i; a_i - \beta_i; a_i \circ \beta_i])

    likewise the other way round, and :math:`y = H([v_1; v_2])`; F, G and H are two-layer ReLU networks, and
    :math:`a_i` is a word's state or, with heads, that and :math:`r` times the average of its head's,
    :math:`[x_i; r c_i]`.
    Source: Parikh et al. 2016, section 3, with scores scaled by the root of their size, and with difference
    and product beside the two vectors that are compared.

    With weights :math:`[G_a, G_\beta, G_-, G_\circ]` the first layer of G is

    .. math:: (G_a + G_-) a_i + \sum_j \mathrm{softmax}_j(e_{ij}) (G_\beta - G_-) b_j
              + G_\circ (a_i \circ \beta_i)

    of which all but the last is linear in the states, and is begun before there is a structure.

    Weights on heads start at zero: training starts from the model without trees.

    Shapes: states ``(batch, 2, n+1, size)``, projected once, structure ``(S · batch, 2, n+1, n+1)`` and mask
    ``(S · batch, 2, n)`` to logits ``(S · batch, labels)`` and the two softmaxes ``(S · batch, 2, n, n)``,
    whose rows at padding mean nothing.

    Args:
        size: of a word's state.
        hidden_size: of all layers.
        labels: how many logits.
        dropout: share dropped in training of the states, and of what goes into each layer after the first.
        head_scale: r, or None where a word is read without its head.
    """

    def __init__(
        self, size: int, hidden_size: int, labels: int, dropout: float, head_scale: float | None
    ) -> None:
        super().__init__()
        word = size if head_scale is None else 2 * size
        self.head_scale = head_scale
        self.align = TwoLayers(word, hidden_size, dropout)
        self.compare = TwoLayers(4 * word, hidden_size, dropout)
        self.aggregate = TwoLayers(2 * hidden_size, hidden_size, dropout)
        self.output = nn.Linear(hidden_size, labels)
        self.dropout = nn.Dropout(dropout)
        if head_scale is not None:
            for layers in (self.align, self.compare):
                _start_without_heads(layers.first.weight, size)

    def project(self, states: Tensor) -> PairProjection:
        """Do for states ``(batch, 2, n+1, size)`` what no structure changes."""
        states = self.dropout(states.flatten(0, 1))
        align, compare = self.align.first, self.compare.first
        of_words, of_others, of_difference, _ = compare.weight.chunk(4, dim=1)
        weight = torch.cat([align.weight, of_words + of_difference, of_others - of_difference])
        bias = torch.cat([align.bias, compare.bias, torch.zeros_like(compare.bias)])
        if self.head_scale is None:
            return PairProjection(states, linear(states, weight, bias))
        return PairProjection(states, project(weight, bias, states, self.head_scale))

    def forward(
        self, projected: PairProjection, structure: Tensor | None, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of each pair, and the attention of each word to those of the other sentence."""
        words, layers = self._under(projected, structure)
        to_align, of_words, of_others = paired(layers).chunk(3, dim=-1)
        attention = self._attend(to_align, mask)
        v = self._compare(words, of_words, of_others, attention, mask)
        return self.output(self.aggregate(v)), attention

    def _compare(
        self, words: list[Tensor], of_words: Tensor, of_others: Tensor, attention: Tensor, mask: Tensor
    ) -> Tensor:
        """Return :math:`[v_1; v_2]`, from each word's vectors and what is begun of the first layer of G."""
        # Each sentence by itself: to put the two in the other's place would be to copy them.
        attending, own, others, real = (
            tensor.unbind(1)
            for tensor in (attention, of_words, of_others, mask.unsqueeze(2).to(of_words.dtype))
        )
        sides = [vectors.unbind(1) for vectors in words]
        of_products = self.compare.first.weight.chunk(4, dim=1)[3].chunk(len(sides), dim=1)
        summed = []
        for i, j in (0, 1), (1, 0):
            compared = torch.baddbmm(own[i], attending[i], others[j])
            for vectors, of_product in zip(sides, of_products, strict=True):
                compared = compared + linear(vectors[i] * (attending[i] @ vectors[j]), of_product)
            summed.append(real[i] @ self.compare.rest(compared))
        return torch.cat(summed, dim=-1).squeeze(1)

    def _under(self, projected: PairProjection, structure: Tensor | None) -> tuple[list[Tensor], Tensor]:
        """Return each word's vectors, its own and its head's, and what first layers make of them."""
        states, layers = projected
        if structure is None or self.head_scale is None:
            return [paired(states[:, 1:])], layers[:, 1:]
        trees, (own, as_head) = structure.flatten(0, 1), layers.chunk(2, dim=-1)
        heads = self.head_scale * head_context(trees, states)
        words = states[:, 1:].repeat(len(heads) // len(states), 1, 1)
        return [paired(words), paired(heads)], head_context(trees, as_head, own[:, 1:])

    def _attend(self, to_align: Tensor, mask: Tensor) -> Tensor:
        """Return the softmaxes ``(batch, 2, n, n)``, from what the first layer of F makes of each word."""
        aligned = self.align.rest(to_align)
        scores = aligned[:, 0] @ aligned[:, 1].transpose(1, 2) * aligned.shape[-1] ** -0.5
        both = torch.stack([scores, scores.transpose(1, 2)], dim=1)
        other_mask = mask.flip(1).unsqueeze(2)
        return both.masked_fill(~other_mask, -torch.inf).softmax(-1)


class TwoLayers(nn.Sequential):
    """A two-layer ReLU network, whose first layer may also be done elsewhere."""

    def __init__(self, size: int, hidden_size: int, dropout: float) -> None:
        modules: list[nn.Module] = []
        for width in (size, hidden_size):
            layer = nn.Linear(width, hidden_size)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            modules += [nn.Dropout(dropout), layer, nn.ReLU()]
        super().__init__(*modules)

    @property
    def first(self) -> nn.Linear:
        """The first layer, without its ReLU."""
        return cast(nn.Linear, self[1])

    def rest(self, first: Tensor) -> Tensor:
        """Do all that comes after the first layer."""
        for module in list(self)[2:]:
            first = module(first)
        return first


def paired(sentences: Tensor) -> Tensor:
    """Turn ``(2 · batch, …)`` into ``(batch, 2, …)``."""
    return sentences.reshape(-1, 2, *sentences.shape[1:])


def _start_without_heads(weight: Tensor, size: int) -> None:
    """Set the columns on heads to zero, and those on words as large as they are without heads."""
    with torch.no_grad():
        own, heads = weight.view(len(weight), -1, 2, size).unbind(2)
        own.mul_(2**0.5)
        heads.zero_()
