import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent.text import PADDING, RESERVED, UNKNOWN, Vocabulary, normalize, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("  \t\n ", []),
        ("Great film.", ["Great", "film", "."]),
        ("I can't wait (really)!", ["I", "ca", "n't", "wait", "(", "really", ")", "!"]),
        ('He said "no".', ["He", "said", '"', "no", '"', "."]),
        ("It’s “fine”", ["It", "’s", "“", "fine", "”"]),
        ("A mess. But fun? Yes.", ["A", "mess", ".", "But", "fun", "?", "Yes", "."]),
        ("Mr. Smith left.", ["Mr.", "Smith", "left", "."]),
        ("\U0001f600 wow", ["\U0001f600", "wow"]),
        ("nul\x00byte", ["nul\x00byte"]),
        ("<script>", ["<", "script", ">"]),
    ],
)
def test_tokens(text, tokens):
    assert tokenize(text) == tokens


@given(st.text(alphabet=string.ascii_letters + " .,'\"`-()“”‘’$&\n\u00a0é\U0001f600"))
def test_tokens_are_the_text_without_its_spaces(text):
    tokens = tokenize(text)
    assert "".join("".join(tokens).split()) == "".join(text.split())
    assert all(tokens)


@pytest.mark.parametrize(
    ("token", "form"),
    [
        ("Film", "film"),
        ("-LRB-", "("),
        ("-rrb-", ")"),
        ("''", '"'),
        ("“", '"'),
        ("1\\/2", "1/2"),
        ("it’s", "it's"),
    ],
)
def test_forms(token, form):
    assert normalize(token) == form
    assert normalize(form) == form


def test_vocabulary_ids():
    vocabulary = Vocabulary(["the", "film", "("])
    assert vocabulary.ids(["The", "-LRB-", "plot", "FILM"]) == [RESERVED, RESERVED + 2, UNKNOWN, RESERVED + 1]
    assert len(vocabulary) == 5
    assert "Film" in vocabulary
    assert "plot" not in vocabulary
    assert PADDING not in vocabulary.ids(["the", "plot"])


def test_vocabulary_keeps_frequent_words_in_a_fixed_order():
    sentences = [["b", "A", "b"], ["a", "B", "c"], ["d", "c"]]
    assert Vocabulary.from_sentences(sentences, min_count=2).words == ("b", "a", "c")


def test_repeated_word_is_refused():
    with pytest.raises(ValueError, match="'film' more than once"):
        Vocabulary(["film", "plot", "film"])


ALONE = """
import sys
from latent.text import tokenize
assert tokenize("I can't.") == ["I", "ca", "n't", "."]
assert not {"nltk", "sklearn", "pandas"} & sys.modules.keys()
import nltk
assert nltk.tokenize.NLTKWordTokenizer().tokenize("I can't.") == ["I", "ca", "n't", "."]
"""


def test_the_tokenizer_comes_without_the_rest_of_nltk_and_leaves_it_whole():
    subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=300)
