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

# As tuples, so that the compiler writes eight bytes at a time, knowing what they are.
_MODIFIER = tuple(b'{"modifier":')
_HEAD = tuple(b',"head":')
_PROBABILITY = tuple(b',"probability":')
_WEIGHT = tuple(b'{"weight":')
_HEADS = tuple(b',"heads":[')
_BYTES_A_TREE = 40  # a weight
_BYTES_A_HEAD = 6  # 16 bits
_BYTES_AN_ARC = 80  # two places of a dozen digits, and a probability
_DECIMALS = 6  # what single precision is worth, in a third of the digits


def prediction(labels: tuple[str, ...], item: Item, found: Prediction, wanted: Parameters) -> bytes:
    """Write one model's answer for one input."""
    trees: Sequence[SentenceTrees | None] = found.trees or [None] * len(item.sentences)
    parts = [_outcomes(labels, found)]
    for words, tree in zip(item.sentences, trees, strict=True):
        parts += (b'{"tokens":', to_json(words), b',"trees":')
        parts += [b"null"] if tree is None else _trees(tree, wanted.trees)
        parts.append(b"},")
    parts[-1] = b'}],"alignment":'
    parts.append(_alignment(found.alignment) if wanted.alignment and found.alignment else b"null")
    parts.append(b"}")
    return b"".join(parts)


def _outcomes(labels: tuple[str, ...], found: Prediction) -> bytes:
    """Write the labels and scores, up to where the sentences begin."""
    template, names = _template(labels, tuple(found.by_structure))
    outcomes = [found.scores, *found.by_structure.values()]
    gaps: list[bytes] = []
    for scores, written in zip(outcomes, to_json(outcomes)[2:-2].split(b"],["), strict=True):
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


def _trees(tree: SentenceTrees, wanted: TreeParameters) -> list[bytes]:
    """Write the structures that were asked for and found; the others are null."""
    best = marginals = mixture = size = b"null"
    if "map" in wanted.return_ and tree.heads is not None:
        best = b'{"heads":%b}' % to_json(tree.heads)
    if "marginals" in wanted.return_ and tree.marginals is not None:
        marginals = arcs_json(tree.marginals, wanted.min_probability)
    if "sparsemap" in wanted.return_ and tree.mixture is not None:
        size = b"%d" % len(tree.mixture.weights)
        mixture = mixture_json(tree.mixture, wanted.max_trees)
    return [
        *(b'{"map":', best, b',"marginals":', marginals),
        *(b',"sparsemap":', mixture, b',"support_size":', size, b"}"),
    ]


def arcs_json(marginals: Probabilities, least: float) -> bytes:
    """Write the arcs that can be, by modifier and then head, from `least` on; six decimals each.

    Cost: O(n²) for n words, a few microseconds for 20.
    """
    out = np.empty(2 + len(marginals) ** 2 * _BYTES_AN_ARC, np.uint8)
    end = _write_arcs(marginals, np.float32(least), out)
    return out[:end].tobytes()


def mixture_json(mixture: Mixture, most: int) -> bytes:
    """Write the heaviest trees, so many at most, and their weights; six decimals each.

    Cost: O(nk) for k trees of n words.
    """
    weights = mixture.weights[:most]
    heads = np.ascontiguousarray(mixture.heads[:most])  # so that it is compiled for one layout
    out = np.empty(2 + len(weights) * _BYTES_A_TREE + heads.size * _BYTES_A_HEAD, np.uint8)
    end = _write_mixture(weights, heads, out)
    return out[:end].tobytes()


@jit.compiled
def _write_mixture(weights: NDArray[np.float64], heads: NDArray[np.int16], out: NDArray[np.uint8]) -> int:
    out[0] = 91  # [
    end = 1
    for i in range(len(weights)):
        end = _write_bytes(_WEIGHT, out, end)
        end = _write_probability(weights[i], out, end)
        end = _write_bytes(_HEADS, out, end)
        for j in range(heads.shape[1]):
            end = _write_whole(heads[i, j], out, end)
            out[end] = 44  # ,
            end += 1
        out[end - 1] = 93  # ] for the last comma
        out[end] = 125  # }
        out[end + 1] = 44
        end += 2
    if end > 1:
        end -= 1
    out[end] = 93
    return end + 1


@jit.compiled
def _write_arcs(marginals: Probabilities, least: np.float32, out: NDArray[np.uint8]) -> int:
    out[0] = 91  # [
    end = 1
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
    if end > 1:
        end -= 1  # the last comma
    out[end] = 93  # ]
    return end + 1


@jit.compiled
def _write_bytes(text: tuple[int, ...], out: NDArray[np.uint8], end: int) -> int:
    for i in range(len(text)):
        out[end + i] = text[i]
    return end + len(text)


@jit.compiled
def _write_whole(number: int, out: NDArray[np.uint8], end: int) -> int:
    size, rest = 1, number // 10
    while rest:
        size, rest = size + 1, rest // 10
    for i in range(size):
        out[end + size - 1 - i] = 48 + number % 10
        number //= 10
    return end + size


@jit.compiled
def _write_probability(probability: np.float32, out: NDArray[np.uint8], end: int) -> int:
    """Write a number of [0, 1], without zeros at its end but for the first."""
    number = round(np.float64(probability) * 10**_DECIMALS)
    out[end] = 48 + number // 10**_DECIMALS
    out[end + 1] = 46  # .
    for i in range(_DECIMALS):
        out[end + 1 + _DECIMALS - i] = 48 + number % 10
        number //= 10
    end += 2 + _DECIMALS
    while out[end - 1] == 48 and out[end - 2] != 46:
        end -= 1
    return end
