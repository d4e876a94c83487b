"""Follow-ups and several questions in one, of several domains and two languages, written by hand (`dialogues.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.answer.understand import Understood, understand
from pipelines.domain import Message, Question, User

DIALOGUES: list[Mapping[str, Any]] = json.loads(Path(__file__).with_name("dialogues.json").read_text("utf-8"))
FOLLOW_UPS = [pytest.param(each, id=each["id"]) for each in DIALOGUES if "each" not in each]
AT_ONCE = [pytest.param(each, id=each["id"]) for each in DIALOGUES if "each" in each]


def conversation(*turns: str) -> Question:
    """The last of the turns as a question after those before it; people and the assistant take turns."""
    history = tuple(Message("user" if n % 2 == 0 else "assistant", turn) for n, turn in enumerate(turns[:-1]))
    return Question(turns[-1], User("u"), history)


def _understood(dialogue: Mapping[str, Any]) -> Understood:
    return understand(conversation(*dialogue["turns"]))


@pytest.mark.parametrize("dialogue", FOLLOW_UPS)
def test_a_follow_up_is_searched_for_as_it_is_meant(dialogue: Mapping[str, Any]) -> None:
    understood = _understood(dialogue)
    (text,) = understood.texts
    assert [word for word in dialogue["has"] if word not in text] == [], text
    assert [word for word in dialogue["lacks"] if word in text] == [], text
    assert understood.needs_model == dialogue.get("model", False)


@pytest.mark.parametrize("dialogue", AT_ONCE)
def test_questions_are_searched_apart_only_where_each_stands_alone(dialogue: Mapping[str, Any]) -> None:
    texts = _understood(dialogue).texts
    assert len(texts) == len(dialogue["each"]), texts
    for text, expected in zip(texts, dialogue["each"], strict=True):
        assert [word for word in expected if word not in text] == [], text
