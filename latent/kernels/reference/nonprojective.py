"""Non-projective trees in plain torch, one sentence at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def log_partition(scores: Tensor, words: list[int], single_root: bool) -> Tensor:
    r"""(batch,) log-partitions of finite scores; differentiable twice.

    The determinant of the Matrix-Tree theorem (Tutte 1984; Koo et al. 2007) by elimination in logarithms:
    without word v, $w'_{ij} = w_{ij} + w_{iv} w_{vj} / D_v$, where $D_v$ is the sum of what enters v. Nothing
    is subtracted, so nothing cancels. For a single root, the root counts in the last D alone.
    """
    return torch.stack(
        [_eliminate(s[: n + 1, : n + 1], single_root) for s, n in zip(scores, words, strict=True)]
    )


def _eliminate(w: Tensor, single_root: bool) -> Tensor:
    total = w.new_zeros(())
    for v in range(len(w) - 1, 0, -1):
        entering = w[(1 if single_root and v > 1 else 0) : v, v].logsumexp(0)
        total = total + entering
        around = w[:v, v, None] + w[v, None, :v] - entering
        w = torch.stack([w[:v, :v], around]).logsumexp(0)  # the second derivative of logaddexp overflows
    return total


def best_trees(scores: Tensor, words: list[int], single_root: bool) -> Tensor:
    """(batch, n+1, n+1) zeros and ones; a single root by trying every word as the root's child."""
    z = torch.zeros_like(scores)
    for b, n in enumerate(words):
        own = scores[b, : n + 1, : n + 1].cpu()
        candidates = [_with_root(own, r) for r in range(1, n + 1)] if single_root else [own]
        found = [best_arborescence(w) for w in candidates]
        values = [
            sum(float(w[h, m]) for m, h in heads.items()) for w, heads in zip(candidates, found, strict=True)
        ]
        for m, h in found[values.index(max(values))].items():
            z[b, h, m] = 1
    return z


def _with_root(w: Tensor, child: int) -> Tensor:
    """The scores with all arcs of the root but one beyond reach."""
    w = w.clone()
    others = torch.arange(len(w)) != child
    w[0, others] = len(w) * (w.min() - 1)
    return w


def best_arborescence(w: Tensor) -> dict[int, int]:
    """The head of each vertex but 0 (Chu & Liu 1965; Edmonds 1967): contract a cycle, solve, expand."""
    size = len(w)
    w = w.clone()
    w.fill_diagonal_(-torch.inf)
    heads = {m: int(w[:, m].argmax()) for m in range(1, size)}
    cycle = _find_cycle(heads)
    if not cycle:
        return heads
    outside = [v for v in range(size) if v not in cycle]
    inner = torch.tensor(cycle)
    gain = w[:, inner] - torch.stack([w[heads[v], v] for v in cycle])  # of breaking the cycle at each vertex
    entry, leave = gain.max(1), w[inner].max(0)
    merged = torch.full((len(outside) + 1,) * 2, -torch.inf, dtype=w.dtype)
    merged[:-1, :-1] = w[outside][:, outside]
    merged[:-1, -1] = entry.values[outside]
    merged[-1, :-1] = leave.values[outside]
    for m, h in best_arborescence(merged).items():
        if m == len(outside):  # the arc into the cycle
            head = outside[h]
            heads[cycle[int(entry.indices[head])]] = head
        else:
            modifier = outside[m]
            heads[modifier] = cycle[int(leave.indices[modifier])] if h == len(outside) else outside[h]
    return heads


def _find_cycle(heads: dict[int, int]) -> list[int]:
    """The vertices of some cycle, or none."""
    for start in heads:
        path: list[int] = []
        vertex = start
        while vertex and vertex not in path:
            path.append(vertex)
            vertex = heads[vertex]
        if vertex:
            return path[path.index(vertex) :]
    return []
