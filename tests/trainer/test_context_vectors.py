import math
from itertools import product

import numpy as np
import pytest
import torch

from latent.text import PADDING, RESERVED, UNKNOWN, Vocabulary
from trainer.build import build
from trainer.context_vectors import context_vectors
from trainer.errors import UserError
from trainer.options import ModelOptions
from trainer.tasks.sst import Sst

TEXT = [
    line.split()
    for line in (
        "the old film was dull and the plot was dull",
        "a lovely film about a lovely plot",
        "the old film was dull and the plot was dull",  # again, which counts for nothing
        "xyzzy old a film . the plot the dull and lovely about was old old",
    )
]
FOUND = {"film", "plot", "dull", "old", "the", "a"}


def vocabulary_and_table():
    vocabulary = Vocabulary(["the", "film", "plot", "dull", "lovely", "was", "old", "a", "never"])
    return vocabulary, torch.randn(len(vocabulary), 3, generator=torch.Generator().manual_seed(1))


def by_definition(vocabulary, sentences, table, found):
    """The guesses word by word and place by place, and ridge regression by its normal equations."""
    names = [None, "<unknown>", *vocabulary.words]
    known = [name in found for name in names]
    distinct = [list(sentence) for sentence in {tuple(sentence) for sentence in sentences}]
    ids = [vocabulary.ids(sentence) for sentence in distinct]
    counts = [sum(sentence.count(word) for sentence in ids) for word in range(len(names))]
    contexts = {}
    for word in range(len(names)):
        total, weights = np.zeros(table.shape[1]), 0.0
        for sentence in ids:
            for place, other in product(range(len(sentence)), repeat=2):
                near = place != other and abs(place - other) <= 5
                if near and sentence[place] == word and known[sentence[other]]:
                    gain = 1e-3 / (1e-3 + counts[sentence[other]] / sum(counts))
                    total, weights = total + gain * table[sentence[other]].numpy(), weights + gain
        if weights:
            contexts[word] = total / weights
    fitted = [word for word in contexts if known[word]]
    weight = np.array([math.log(1 + counts[word]) for word in fitted])
    x, y = np.array([contexts[word] for word in fitted]), table[fitted].double().numpy()
    centre_x, centre_y = weight @ x / weight.sum(), weight @ y / weight.sum()
    x, y = x - centre_x, y - centre_y
    slope = np.linalg.solve(x.T @ (weight[:, None] * x) + np.eye(x.shape[1]), x.T @ (weight[:, None] * y))
    length = np.mean([np.linalg.norm(table[word].numpy()) for word in fitted])
    guesses = {word: (contexts[word] - centre_x) @ slope + centre_y for word in contexts if not known[word]}
    return {word: guess / np.linalg.norm(guess) * length for word, guess in guesses.items()}


def test_guesses_are_those_of_the_definition():
    vocabulary, table = vocabulary_and_table()
    rows, guessed = context_vectors(vocabulary, TEXT, table, FOUND)
    wanted = by_definition(vocabulary, TEXT, table, FOUND)
    assert rows.tolist() == sorted(wanted) == [UNKNOWN, *vocabulary.ids(["lovely", "was"])]
    torch.testing.assert_close(
        guessed.double(), torch.tensor(np.array([wanted[row] for row in rows.tolist()]))
    )


def test_other_rows_do_not_matter():
    vocabulary, table = vocabulary_and_table()
    changed = table.clone()
    changed[[PADDING, UNKNOWN, *vocabulary.ids(["lovely", "was", "never"])]] = torch.nan
    for one, other in zip(
        *(context_vectors(vocabulary, TEXT, t, FOUND) for t in (table, changed)), strict=True
    ):
        assert torch.equal(one, other)


def test_a_guess_is_near_words_of_the_same_use():
    """Colours stand before things, verbs after names; a new colour comes out as one."""
    colours, things = ["red", "green", "blue", "pink", "grey"], ["ball", "hat", "coat", "car"]
    names, verbs = ["ann", "bob", "eve", "tom"], ["runs", "sings", "sleeps", "swims", "sits"]
    text = [["the", *pair] for pair in product(colours, things)] + [
        [*pair, "now"] for pair in product(names, verbs)
    ]
    vocabulary = Vocabulary(sorted({word for sentence in text for word in sentence}))
    drawn = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 20, generator=drawn)
    table = torch.zeros(len(vocabulary), 20)
    for centre, words in zip(centres, (colours, things, names, verbs), strict=True):
        for row in vocabulary.ids(words):
            table[row] = centre + 0.3 * torch.randn(20, generator=drawn)
    found = set(vocabulary.words) - {"grey", "sits", "the", "now"}
    rows, guessed = context_vectors(vocabulary, text, table, found)
    for word, centre in (("grey", 0), ("sits", 3)):
        guess = guessed[rows.tolist().index(*vocabulary.ids([word]))]
        assert torch.cosine_similarity(guess, centres).argmax() == centre


@pytest.mark.parametrize("found", [set(), {"never"}, set(vocabulary_and_table()[0].words)])
def test_nothing_to_learn_from_or_to_guess(found):
    """No vector, one only of a word that does not occur, and one for every word of a text."""
    vocabulary, table = vocabulary_and_table()
    rows, guessed = context_vectors(vocabulary, [["film", "plot"]], table, found)
    assert rows.tolist() == []
    assert guessed.shape == (0, 3)


def test_models_start_from_the_guesses(sst_folder, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("lovely 1 0 2 0\ndull -1 0 0 0\nfilm 0 3 0 1\n")
    task = Sst(data=sst_folder)
    splits = task.splits()
    options = {"vectors": (vectors,), "embeddings": "frozen", "hidden_size": 8}
    torch.manual_seed(0)
    noise = build(task, splits, ModelOptions(**options)).encoder.embedding
    torch.manual_seed(0)
    classifier = build(task, splits, ModelOptions(missing="contexts", **options))
    embedding, vocabulary = classifier.encoder.embedding, classifier.vocabulary
    found = {"lovely", "dull", "film"}
    rows, guessed = context_vectors(vocabulary, splits.sentences, noise.weight, found)
    assert len(rows) > 1
    assert torch.equal(embedding.weight[rows], guessed)
    assert torch.equal(embedding.own[torch.isin(embedding.rows, rows)], guessed)  # and they are trained
    same = torch.ones(len(vocabulary), dtype=torch.bool).index_fill(0, rows, False)
    assert torch.equal(embedding.weight[same], noise.weight[same])
    assert RESERVED + vocabulary.words.index("film") not in rows


def test_guessing_wants_vectors(sst_folder):
    task = Sst(data=sst_folder)
    with pytest.raises(UserError, match=r"--missing contexts: .*--vectors"):
        build(task, task.splits(), ModelOptions(missing="contexts"))
