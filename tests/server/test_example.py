"""The hand-written answer that the page is built against must keep to the schema."""

import json
from pathlib import Path

from server.schemas import CompareAnswer

EXAMPLE = Path(__file__).with_name("example_compare.json")


def test_the_example_is_a_full_compare_answer() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    answer = CompareAnswer.model_validate_json(text)
    assert json.loads(answer.model_dump_json()) == json.loads(text)
