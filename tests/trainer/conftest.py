import random

import pytest

POSITIVE = ["lovely", "great", "moving", "clever", "warm"]
NEGATIVE = ["dull", "awful", "flat", "clumsy", "cold"]
FRAMES = [
    ("the", "film", "is", None, "."),
    ("a", None, "plot"),
    ("what", "a", None, "and", "long", "story", "it", "is"),
    (None,),
]


def tree(rng, label):
    """One labelled tree of the treebank's kind: right-branching, neutral but for root and adjective."""
    adjective = rng.choice(POSITIVE if label > 2 else NEGATIVE if label < 2 else ["long"])
    leaves = [f"({label if word is None else 2} {word or adjective})" for word in rng.choice(FRAMES)]
    text = leaves[-1]
    for leaf in reversed(leaves[:-1]):
        text = f"({label} {leaf} {text})"
    return text


@pytest.fixture
def sst_folder(tmp_path):
    """A data folder with a small treebank of our own."""
    rng = random.Random(0)
    folder = tmp_path / "data" / "sst"
    folder.mkdir(parents=True)
    for name, size in [("train", 96), ("dev", 40), ("test", 24)]:
        labels = [index % 5 for index in range(size)]
        (folder / f"{name}.txt").write_text("".join(tree(rng, label) + "\n" for label in labels))
    return folder.parent
