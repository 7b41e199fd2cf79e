import os
from collections import Counter
from pathlib import Path

import pytest

from trainer.tasks import DataError
from trainer.tasks.sst import Phrase, Sst, parse_tree, read_trees

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("UNDERSTORY_DATA", ROOT.parent / "shared" / "data"))


def test_nodes_of_a_tree():
    nodes = parse_tree("(3 (2 (2 The) (1 plot)) (4 (2 is) (4 fun)))\n")
    assert nodes == [
        Phrase(("The", "plot", "is", "fun"), 3),
        Phrase(("The", "plot"), 2),
        Phrase(("The",), 2),
        Phrase(("plot",), 1),
        Phrase(("is", "fun"), 4),
        Phrase(("is",), 2),
        Phrase(("fun",), 4),
    ]


def test_a_no_break_space_is_part_of_its_word():
    assert parse_tree("(2 (2 1\u00a01\\/2) (2 hours))")[0].words == ("1\u00a01\\/2", "hours")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("(3 (2 a) (2 b)", "not closed"),
        ("(3 (2 a)) (2 b)", "second one"),
        ("(5 a)", "from 0 to 4; got '5'"),
        ("(3 (2 ) (2 b))", "without a word"),
        ("a (3 b)", "'a' stands outside"),
        ("(3 b))", "outside"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "train.txt"
    path.write_text(f"(3 fine)\n\n{line}\n")
    with pytest.raises(DataError, match=rf"train.txt, line 3: .*{message}"):
        list(read_trees(path))


def test_neutral_is_left_out_and_phrases_come_on_request(sst_folder):
    plain = Sst(data=sst_folder).splits()
    roots = [nodes[0].sentiment for nodes in read_trees(sst_folder / "sst" / "train.txt")]
    assert [example.label for example in plain.train] == [int(s > 2) for s in roots if s != 2]
    phrases = Sst(data=sst_folder, phrases=True).splits()
    nodes = [node for nodes in read_trees(sst_folder / "sst" / "train.txt") for node in nodes]
    assert len(phrases.train) == sum(node.sentiment != 2 for node in nodes) > len(plain.train)
    assert phrases.dev == plain.dev
    assert len(plain.sentences) == len(roots)


def test_grades_are_distributions_and_neutral_texts_come_along(sst_folder):
    nodes = [node for nodes in read_trees(sst_folder / "sst" / "train.txt") for node in nodes]
    graded = Sst(data=sst_folder, phrases=True, grades=True).splits()
    assert [example.text for example in graded.train] == [node.words for node in nodes]
    positive = {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1.0}
    for example, node in zip(graded.train, nodes, strict=True):
        assert example.target == (1 - positive[node.sentiment], positive[node.sentiment])
        assert example.label == (node.sentiment > 2)
    plain = Sst(data=sst_folder, phrases=True).splits()
    assert (graded.dev, graded.test) == (plain.dev, plain.test)
    assert all(example.target is None for example in [*plain.train, *graded.dev])
    assert len(Sst(data=sst_folder, grades=True).splits().train) == 96


def test_official_archive_has_a_folder_trees(sst_folder):
    wanted = Sst(data=sst_folder).splits()
    (sst_folder / "sst").rename(sst_folder / "trees")
    (sst_folder / "sst").mkdir()
    (sst_folder / "trees").rename(sst_folder / "sst" / "trees")
    assert Sst(data=sst_folder).splits().test == wanted.test


def test_missing_data_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"no train.txt .* python -m trainer data sst"):
        Sst(data=tmp_path).splits()


@pytest.mark.skipif(not (DATA / "sst").is_dir(), reason=f"the treebank itself is not in {DATA}")
def test_official_counts():
    splits = Sst(data=DATA, phrases=True).splits()
    assert (len(splits.dev), len(splits.test)) == (872, 1821)
    assert len(Sst(data=DATA).splits().train) == 6920
    assert len(splits.sentences) == 8544
    assert Counter(len(words) == 0 for words in splits.sentences) == {False: 8544}
