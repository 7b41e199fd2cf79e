"""Tokenising from memory is tokenising by the rules: on text that is made to upset it, first and again."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latent import text as rules
from server import words

FRAGMENTS = """
    can not cannot Gimme gonna wan na d 'ye more 'n 't is was ' . .. ... , : ; x A Ab ab 's n't N'T 'll ’ ’s
    “ ” `` ` '' " -- - ( ) [ ] { } < > 3 1,000 $ % & ? ! é ſ » « — * / @ # U.S. Mr. 're can't \u0301
"""
PIECE = st.lists(st.sampled_from(FRAGMENTS.split()), min_size=1, max_size=3).map("".join)
SPACE = st.sampled_from([" "] * 8 + ["  ", "\t", "\n", "\u00a0", "\x1f"])
TEXT = st.lists(st.tuples(PIECE, SPACE), min_size=1, max_size=8).map(
    lambda pairs: "".join(piece + space for piece, space in pairs).strip(" ")
)


@given(TEXT | st.text(max_size=60))
@example('"')
@example("film. ''")
@example("`` film. '' ''")
@example("He left. )")
@example("It was bad. ' It was worse, wanna bet ?")
@example("dogs' ' cats' , ,")
def test_from_memory_as_by_the_rules(text: str) -> None:
    wanted = rules.tokenize(text)
    assert words.tokenize(text) == wanted
    assert words.tokenize(text) == wanted  # now that its pieces are known


def test_known_pieces_need_no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    words.tokenize("It isn't bad, says the U.S. critic. `` See it '' ; twice!")
    again = "It says critic. `` See the U.S. '' ; isn't it bad, twice!"
    wanted = rules.tokenize(again)
    monkeypatch.setattr(rules, "tokenize", None)
    assert words.tokenize(again) == wanted


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_PIECES", 5)
    monkeypatch.setattr(words, "_inside", {})
    monkeypatch.setattr(words, "_last", {})
    for i in range(20):
        words.tokenize(f"{'a' * 100 + str(i)} w{i} isn't{i} end{i}.")
    assert max(len(words._inside), len(words._last)) <= 5
    assert max(map(len, (*words._inside, *words._last))) <= words.LONGEST_PIECE
