"""From predictions to the bytes of an answer, in the shape of `server.schemas`.

Written piece by piece: the models of `schemas` would check each of the many small parts again, and a dict for
each arc alone costs a tenth of inference. The tests hold the answers against the schemas.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from latent.kernels.cpu import jit
from server.predictor import Alignment, Item, Mixture, Prediction, Probabilities, SentenceTrees
from server.schemas import Parameters, TreeParameters

# As tuples, so that the compiler writes eight bytes at a time, knowing what they are. It does so at places
# that are unsigned only: others might count from the end.
_MODIFIER = tuple(b'{"modifier":')
_HEAD = tuple(b',"head":')
_PROBABILITY = tuple(b',"probability":')
_WEIGHT = tuple(b'{"weight":')
_HEADS = tuple(b'"heads":[')
_MAP = tuple(b'{"map":')
_MARGINALS = tuple(b',"marginals":')
_SPARSEMAP = tuple(b',"sparsemap":')
_SUPPORT_SIZE = tuple(b',"support_size":')
_NULL = tuple(b"null")
_BYTES_BESIDES = 120  # names, and the size of the support
_BYTES_A_TREE = 40  # a weight
_BYTES_A_HEAD = 6  # 16 bits
_BYTES_AN_ARC = 80  # two places of a dozen digits, and a probability
_DECIMALS = 6  # what single precision is worth, in a third of the digits
_TEN = np.uint32(10)  # so that digits are found in 32 bits
_NO_HEADS = np.empty(0, np.int64)
_NO_MARGINALS = np.empty((0, 0), np.float32)
_NO_MIXTURE = Mixture(np.empty(0), np.empty((0, 0), np.int16))


def prediction(labels: tuple[str, ...], item: Item, found: Prediction, wanted: Parameters) -> bytes:
    """Write one model's answer for one input."""
    trees: Sequence[SentenceTrees | None] = found.trees or [None] * len(item.sentences)
    outcomes = [found.scores, *found.by_structure.values()]
    first, *others = item.sentences
    # In one call, which costs more than what it writes here.
    scores, _, words = to_json((outcomes, first)).partition(b"]],")
    parts = [_outcomes(labels, tuple(found.by_structure), outcomes, scores.removeprefix(b"[[["))]
    for tokens, tree in zip((words[:-1], *map(to_json, others)), trees, strict=True):
        parts += (b'{"tokens":', tokens, b',"trees":')
        parts += (b"null" if tree is None else trees_json(tree, wanted.trees), b"},")
    parts[-1] = b'}],"alignment":'
    parts.append(_alignment(found.alignment) if wanted.alignment and found.alignment else b"null")
    parts.append(b"}")
    return b"".join(parts)


def _outcomes(
    labels: tuple[str, ...], structures: tuple[str, ...], outcomes: Sequence[list[float]], scores_json: bytes
) -> bytes:
    """Write the labels and scores, up to where the sentences begin."""
    template, names = _template(labels, structures)
    gaps: list[bytes] = []
    for scores, written in zip(outcomes, scores_json.split(b"],["), strict=True):
        gaps.append(names[scores.index(max(scores))])
        gaps += written.split(b",")
    return template % tuple(gaps)


@cache
def _template(labels: tuple[str, ...], structures: tuple[str, ...]) -> tuple[bytes, list[bytes]]:
    """Return what stays the same, with gaps for the best label and the scores, and the labels as JSON."""
    names = [to_json(label) for label in labels]
    scores = b",".join(b'{"label":%b,"score":%%b}' % name.replace(b"%", b"%%") for name in names)
    outcome = b'{"label":%%b,"scores":[%b]' % scores
    each = b",".join(b'"%b":%b}' % (structure.encode(), outcome) for structure in structures)
    return b'%b,"by_structure":{%b},"sentences":[' % (outcome, each), names


def _alignment(alignment: Alignment) -> bytes:
    there, back = map(_rows, alignment)
    return to_json({"premise_to_hypothesis": there, "hypothesis_to_premise": back})


def _rows(probabilities: Probabilities) -> list[list[float]]:
    rows: list[list[float]] = probabilities.astype(np.float64).round(_DECIMALS).tolist()
    return rows


def trees_json(tree: SentenceTrees, wanted: TreeParameters) -> bytes:
    """Write the structures that were asked for and found; the others are null.

    Arcs that can be go by modifier and then head, trees by weight; numbers have six decimals.

    Cost: O(n² + nk) for n words and k trees, some ten microseconds for 20 and 8.
    """
    heads, marginals, mixture = tree.heads, tree.marginals, tree.mixture
    if heads is None or "map" not in wanted.return_:
        heads = _NO_HEADS
    if marginals is None or "marginals" not in wanted.return_:
        marginals = _NO_MARGINALS
    if mixture is None or "sparsemap" not in wanted.return_:
        mixture = _NO_MIXTURE
    weights, trees = mixture.weights[: wanted.max_trees], mixture.heads[: wanted.max_trees]
    size = (
        (heads.size + trees.size) * _BYTES_A_HEAD
        + marginals.size * _BYTES_AN_ARC
        + len(weights) * _BYTES_A_TREE
        + _BYTES_BESIDES
    )
    out = np.empty(size, np.uint8)
    # In one layout, so that there is one kernel.
    marginals, trees = np.ascontiguousarray(marginals), np.ascontiguousarray(trees)
    least, support = np.float32(wanted.min_probability), len(mixture.weights)
    end = _write_trees(heads, marginals, least, weights, trees, support, out)
    return out[:end].tobytes()


@jit.compiled
def _write_trees(
    heads: NDArray[np.int64],
    marginals: Probabilities,
    least: np.float32,
    weights: NDArray[np.float64],
    trees: NDArray[np.int16],
    support: int,
    out: NDArray[np.uint8],
) -> int:
    end: int = _write_bytes(_MAP, out, 0)
    if len(heads):
        out[end] = 123  # {
        end = _write_heads(heads, out, end + 1)
    else:
        end = _write_bytes(_NULL, out, end)
    end = _write_bytes(_MARGINALS, out, end)
    end = _write_arcs(marginals, least, out, end) if len(marginals) else _write_bytes(_NULL, out, end)
    end = _write_bytes(_SPARSEMAP, out, end)
    end = _write_mixture(weights, trees, out, end) if support else _write_bytes(_NULL, out, end)
    end = _write_bytes(_SUPPORT_SIZE, out, end)
    end = _write_whole(support, out, end) if support else _write_bytes(_NULL, out, end)
    out[end] = 125  # }
    return end + 1


@jit.compiled
def _write_heads(heads: NDArray[np.int64], out: NDArray[np.uint8], end: int) -> int:
    end = _write_bytes(_HEADS, out, end)
    for head in heads:
        end = _write_whole(head, out, end)
        out[end] = 44  # ,
        end += 1
    out[end - 1] = 93  # ] for the last comma
    out[end] = 125  # }
    return end + 1


@jit.compiled
def _write_mixture(
    weights: NDArray[np.float64], trees: NDArray[np.int16], out: NDArray[np.uint8], end: int
) -> int:
    out[end] = 91  # [
    end += 1
    for i in range(len(weights)):
        end = _write_bytes(_WEIGHT, out, end)
        end = _write_probability(weights[i], out, end)
        out[end] = 44  # ,
        end = _write_heads(trees[i], out, end + 1)
        out[end] = 44
        end += 1
    if out[end - 1] == 44:
        end -= 1
    out[end] = 93  # ]
    return end + 1


@jit.compiled
def _write_arcs(marginals: Probabilities, least: np.float32, out: NDArray[np.uint8], end: int) -> int:
    out[end] = 91  # [
    end += 1
    for modifier in range(1, len(marginals)):
        for head in range(len(marginals)):
            if head != modifier and marginals[head, modifier] >= least:
                end = _write_bytes(_MODIFIER, out, end)
                end = _write_whole(modifier, out, end)
                end = _write_bytes(_HEAD, out, end)
                end = _write_whole(head, out, end)
                end = _write_bytes(_PROBABILITY, out, end)
                end = _write_probability(marginals[head, modifier], out, end)
                out[end] = 125  # }
                out[end + 1] = 44  # ,
                end += 2
    if out[end - 1] == 44:
        end -= 1  # the last comma
    out[end] = 93  # ]
    return end + 1


@jit.compiled
def _write_bytes(text: tuple[int, ...], out: NDArray[np.uint8], end: int) -> int:
    for i in range(len(text)):
        out[np.uint64(end + i)] = text[i]
    return end + len(text)


@jit.compiled
def _write_whole(number: int, out: NDArray[np.uint8], end: int) -> int:
    size, rest = 1, np.uint32(number) // _TEN
    while rest:
        size, rest = size + 1, rest // _TEN
    left = np.uint32(number)
    for i in range(size):
        out[np.uint64(end + size - 1 - i)] = 48 + left % _TEN
        left //= _TEN
    return end + size


@jit.compiled
def _write_probability(probability: np.float32, out: NDArray[np.uint8], end: int) -> int:
    """Write a number of [0, 1], without zeros at its end but for the first."""
    number = np.uint32(np.rint(np.float64(probability) * 10**_DECIMALS))
    for i in range(_DECIMALS):
        out[np.uint64(end + 1 + _DECIMALS - i)] = 48 + number % _TEN
        number //= _TEN
    out[np.uint64(end)] = 48 + number
    out[np.uint64(end + 1)] = 46  # .
    end += 2 + _DECIMALS
    while out[np.uint64(end - 1)] == 48 and out[np.uint64(end - 2)] != 46:
        end -= 1
    return end
