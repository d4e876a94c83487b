"""Understands a question: what to search for, when the last turn only makes sense after the ones before it."""

from __future__ import annotations

import re

from pipelines.domain import Question

_CUES = re.compile(
    r"^\W*(and|also|but|so|then|why|what about|how about|what if|und|auch|aber|wie sieht es|was ist mit|et|y)\b", re.I
)
_POINTERS = re.compile(
    r"\b(it|its|that|this|they|them|their|those|these|there|same|one|ones|former|latter|above|previous|"
    r"das|dies|diese|dieser|dafür|dort|davon|darüber|sie|ihnen)\b",
    re.I,
)
_WORD = re.compile(r"\w+")
_SHORT_QUESTION_WORDS = 12
"""A longer question that says "it" mostly explains itself."""
_FRAGMENT_WORDS = 3


def search_text(question: Question) -> str:
    """Return the text to search for: the question, led by the one it follows up on when it cannot stand alone."""
    topic = ""
    for message in question.history:
        if message.role == "user":
            topic = _lead(topic, message.content)
    return _lead(topic, question.text)


def is_follow_up(text: str) -> bool:
    """Whether a question leans on the turn before it, judged by its words alone."""
    words = len(_WORD.findall(text))
    if words <= _FRAGMENT_WORDS or _CUES.match(text):
        return True
    return words <= _SHORT_QUESTION_WORDS and _POINTERS.search(text) is not None


def _lead(topic: str, text: str) -> str:
    return f"{topic}\n{text}" if topic and is_follow_up(text) else text
