"""Makes a question stand alone by rules: the conversation and a question go in, a `Thread` comes out.

A part that a fragment names takes the place of its like ("and in Oslo?"); where the rules cannot tell which part is
meant, the question is led by the one it follows, so that a search finds what either is about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.answer.understand.exchange import Fragment, exchange, preposition_before
from pipelines.answer.understand.leaning import asks, leaning, points, without_cue
from pipelines.answer.understand.parts import Part, parts_of, periods_of
from pipelines.answer.words import akin, significant_words, stem, words
from pipelines.domain import Message

TURNS = 8
"""Of a chain of follow-ups, those further back do not change what the last one is about."""
_LOOK_BACK = 40
TURN_CHARACTERS = 600
"""An embedding model reads little more, and what was asked must still fit behind it."""

_OWN_SUBJECT = 2
"""A question about "there" with this many words about something has a subject of its own."""
_ANSWER_CHARACTERS = 2_000
_ANSWER_NAMES = 3
_ITEM_CHARACTERS = 160
_ASKS_WHICH = re.compile(
    r"^\W*(?:(?:in|at|by|for|to|von|bei|an) )?(?:who|which|whom|what|where|wer|wo|welche[rsnm]?|wen|wem)\b", re.I
)
_PERSON = frozenset(("he", "she", "him", "his", "her"))
_POSSESSIVE = frozenset(("its", "their"))
_WHERE = frozenset(("in", "at", "on", "near", "bei", "im", "an", "am"))
_PLACE = frozenset(("there", "dort"))
_DEMONSTRATIVE = re.compile(
    r"\b(?:th(?:is|at|ese|ose)|such|diese[rsnm]?|jene[rsnm]?|the (?:above|latter|former|previous))\s+([^\W\d_]{3,})",
    re.I,
)
_NTH = re.compile(
    r"\b(?:(first|erste[nrs]?)|(second|zweite[nrs]?)|(third|dritte[nrs]?)|(fourth|vierte[nrs]?)|(fifth|fünfte[nrs]?)|"
    r"(last|letzte[nrs]?))\b(?=\W*$| (?:one|point|option|item|step|case|rule|condition|example|bullet|punkt|"
    r"schritt|fall|regel))",
    re.I,
)
_NUMBERED = re.compile(r"\b(?:number|point|option|step|item|nummer|punkt|schritt)\s(\d{1,2})\b", re.I)
_OTHER_ONES = re.compile(
    r"\b(?:former|latter|above|preceding|(?:other|that|this|which|the \w+) ones?|previous)\b", re.I
)
_ITEM = re.compile(r"^[ \t]{0,8}(?:[-*•–]|\d{1,2}[.)]|[a-h][.)])[ \t]+(\S.*)$", re.M)
_NAMED_ONE = re.compile(r"^the [A-ZÀ-Þ\d][\w-]* ones?\W*$")
_FEW_WORDS = re.compile(r"\W{0,3}[\w'’-]{1,40}(?: [\w'’-]{1,40}){0,3}\W{0,3}")
_TWO_CAPITALS = re.compile(r"[A-ZÀ-Þ][\w&-]* [A-ZÀ-Þ]")
_MARK = re.compile(r"\s?\[\d+(?:\s*,\s*\d+)*\]|[*_`]{1,3}")
_END = " \t\n?.!"


@dataclass(frozen=True, slots=True)
class Thread:
    """What is being asked: the `topic`, and the last thing asked about it when that has no subject of its own.

    `sure` is False when only somebody who understands the conversation can tell what is meant.
    """

    topic: str
    aspect: str = ""
    sure: bool = True

    @property
    def text(self) -> str:
        """The text to search for."""
        return f"{self.topic}\n{self.aspect}" if self.aspect else self.topic


def thread_of(history: Sequence[Message]) -> tuple[Thread | None, str]:
    """What the conversation is about so far, and the last answer; None and "" before anything was asked."""
    thread: Thread | None = None
    answer = ""
    for at in _turns(history):
        thread = resolve(thread, history[at].content[:TURN_CHARACTERS].strip(), answer)
        thread = replace(thread, topic=thread.topic[:TURN_CHARACTERS], sure=True)
        said = (message.content for message in history[at + 1 : at + 2] if message.role == "assistant")
        answer = next(said, "")[:_ANSWER_CHARACTERS]
    return thread, answer


def _turns(history: Sequence[Message]) -> list[int]:
    """Where the question stands that the last ones are about, and the last ones."""
    asked = [at for at, message in enumerate(history) if message.role == "user"][-_LOOK_BACK:]
    begun = next((n for n in reversed(range(len(asked))) if leaning(history[asked[n]].content) is None), 0)
    return asked[begun : begun + 1] + asked[begun + 1 :][-TURNS:]


def resolve(thread: Thread | None, text: str, answer: str = "") -> Thread:
    """Return what `text` asks when it follows `thread` and the `answer` to it."""
    lean = leaning(text) if thread else None
    if thread is None or (lean is None and not _varies(thread.topic, text)):
        return Thread(text)
    if lean == "more":
        return thread
    if _NAMED_ONE.match(without_cue(text)) or (lean == "fragment" and not _points_into_answer(text)):
        return _exchanged(thread, text)
    return _pointed(thread, text, answer)


def _varies(topic: str, text: str) -> bool:
    """Whether a few words without a verb say something else of the same: "maximum pressure?", "minimum pressure?"."""
    if not _FEW_WORDS.fullmatch(text) or asks(text):
        return False
    known = {stem(word) for word in significant_words(topic)}
    return any(stem(word) in known for word in significant_words(text))


def context_of(text: str, *, beside: str = "") -> str:
    """The names and periods of `text` that `beside` has none of its own of, as text."""
    names = [] if parts_of(beside, "name") else parts_of(text, "name")
    periods = [] if periods_of(beside) else periods_of(text)
    return " ".join(dict.fromkeys(part.text for part in (*names, *periods)))


def _exchanged(thread: Thread, text: str) -> Thread:
    fragment = Fragment.read(without_cue(text))
    if not fragment.core:
        return replace(thread, aspect=text)
    aspect = exchange(thread.aspect, fragment) if thread.aspect else None
    topic = exchange(thread.topic, fragment)
    if topic or aspect:
        done = [each for each in (topic, aspect) if each]
        return Thread(
            topic.text if topic else thread.topic,
            aspect.text if aspect else thread.aspect,
            sure=all(each.sure for each in done),
        )
    # It adds something: "How many days of leave do I have?", "and in Oslo?". Two names and no word on which: unsure.
    sure = fragment.preposition != "" or len(_distinct(parts_of(thread.topic, "name"))) < 2
    if fragment.preposition and not thread.aspect and "\n" not in thread.topic:
        return Thread(f"{thread.topic.rstrip(_END)} {fragment.text}?", sure=sure)
    return replace(thread, aspect=text, sure=sure)


def _pointed(thread: Thread, text: str, answer: str) -> Thread:
    if _points_into_answer(text):
        item = _item_of(answer, text)
        return Thread(thread.topic, f"{text}\n{item}" if item else text, sure=bool(item))
    pointer = points(without_cue(text))
    said = pointer[0].lower().strip() if pointer else ""
    names = _distinct(_subjects(thread.topic))
    places = _distinct(parts_of(thread.topic, "name"))
    if said in _POSSESSIVE and len(names) == 1:
        owned = re.sub(rf"\b{said}\b", f"{names[0]}'s", text, count=1, flags=re.I)
        return Thread(_with(owned, " ".join(part.text for part in _missing_periods(thread.topic, text))))
    if said in _PLACE and len(places) == 1 and len(significant_words(text)) >= _OWN_SUBJECT:
        return Thread(_with(text, places[0]))
    sure = _is_about_topic(thread.topic, text, answer)
    asks_which = pointer is not None and (said in _PERSON or _ASKS_WHICH.match(thread.aspect or thread.topic))
    if answer and asks_which:
        given = _names_of(answer, beside=thread.text)
        if 0 < len(given) <= _ANSWER_NAMES:
            return Thread(thread.topic, f"{text}\n{', '.join(given)}", sure=sure)
        sure = sure and not given and said not in _PERSON
    return Thread(thread.topic, text, sure=sure)


def _points_into_answer(text: str) -> bool:
    return bool(_NTH.search(text) or _NUMBERED.search(text) or _OTHER_ONES.search(text))


def _item_of(answer: str, text: str) -> str:
    """The item of the answer's list that "the second one" means, or empty."""
    items = _ITEM.findall(answer)
    if nth := _NTH.search(text):
        at = (nth.lastindex or 1) - 1
        at = len(items) - 1 if at == 5 else at
    elif numbered := _NUMBERED.search(text):
        at = int(numbered[1]) - 1
    else:
        return ""
    return _MARK.sub("", items[at])[:_ITEM_CHARACTERS].strip() if 0 <= at < len(items) else ""


def _subjects(topic: str) -> list[Part]:
    """The names that can be what "its" means: not those that only say where."""
    return [part for part in parts_of(topic, "name") if preposition_before(topic, part.start) not in _WHERE]


def _is_about_topic(topic: str, text: str, answer: str) -> bool:
    """Whether "this rule" is not one that only the answer speaks of."""
    named = [stem(word) for word in _DEMONSTRATIVE.findall(text) if significant_words(word)]
    return all(_has(topic, name) or not _has(answer, name) for name in named)


def _has(text: str, name: str) -> bool:
    return any(name == word or akin(name, word) for word in map(stem, words(text)))


def _names_of(answer: str, *, beside: str) -> list[str]:
    known = {word.lower() for word in words(beside)}
    said = _MARK.sub("", answer)
    # A capital at the beginning says nothing; two in a row do.
    names = _distinct(parts_of(f"of {said}" if _TWO_CAPITALS.match(said) else said, "name"))
    return [name for name in names if not {word.lower() for word in words(name)} <= known]


def _missing_periods(topic: str, text: str) -> list[Part]:
    return [] if periods_of(text) else periods_of(topic)


def _distinct(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(part.text for part in parts))


def _with(text: str, context: str) -> str:
    return f"{text.rstrip(_END)} {context}?" if context else text
