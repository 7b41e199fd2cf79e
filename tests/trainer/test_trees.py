import pytest
import torch

from trainer.trees import TreeStatistics, depth, heads_of


@pytest.mark.parametrize(
    ("heads", "deep"), [([0], 1), ([2, 0], 2), ([2, 3, 4, 0], 4), ([0, 1, 2, 3], 4), ([0, 1, 1, 3, 1], 3)]
)
def test_depth(heads, deep):
    assert depth(heads) == deep


def test_heads_of_tensors():
    trees = torch.zeros(2, 4, 4)
    for row, heads in enumerate([[2, 0, 2], [0]]):
        for word, head in enumerate(heads, start=1):
            trees[row, head, word] = 1
    assert heads_of(trees, torch.tensor([3, 1])) == [[2, 0, 2], [0]]


def test_statistics():
    statistics = TreeStatistics()
    statistics.add([2, 0, 2, 2])  # flat: arcs 1, 1, 2
    statistics.add([0, 1, 2])  # a chain, heads to the left: 1, 1
    statistics.add([0])  # too short to be flat or not
    assert statistics.summary() == pytest.approx(
        {
            "trees": 3,
            "mean_depth": (2 + 3 + 1) / 3,
            "flat_share": 1 / 2,
            "mean_arc_length": 6 / 5,
            "adjacent_share": 4 / 5,
            "head_left_share": 4 / 5,
        }
    )
