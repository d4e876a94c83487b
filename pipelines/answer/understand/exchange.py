"""Exchanges what a fragment names for its like in the question before: "and in Oslo?" puts Oslo where Berlin stood."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.answer.understand.parts import Kind, Part, parts_of, periods_of
from pipelines.answer.words import INTERROGATIVES, PREPOSITIONS, STOP_WORDS, significant_words

_PREPOSITION = re.compile(rf"^({'|'.join(PREPOSITIONS)})\s+", re.IGNORECASE)
_ARTICLE = re.compile(
    r"^(?:the|a|an|our|your|my|der|die|das|den|dem|des|eine?[rsnm]?|unser\w{0,2}|euer\w{0,2})\s+", re.I
)
_ONE = re.compile(r"\sones?$", re.IGNORECASE)
_AROUND = " \t\n.,;:!?…\"'„“”()"
_POSSESSIVE = re.compile(r"['’]s?$")
_POSSESSOR = re.compile(r"([^\W_][\w&-]*)['’]s\b")
_NOT_POSSESSORS = frozenset((*INTERROGATIVES, "it", "that", "there", "here", "let", "he", "she"))
_EXACT: tuple[Kind, ...] = ("day", "label", "amount", "code")
_PHRASE_WORDS = 3
_WORD = re.compile(r"[^\W_][\w'’-]*")
_ATTACHED = re.compile(r"(?:\s(?=\w{0,12}\d)[\w-]+|\sof\s(?=[A-ZÀ-Þ])[\w-]+)+")


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a fragment names: `core` without the preposition and the article before it."""

    text: str
    preposition: str
    core: str

    @classmethod
    def read(cls, text: str) -> Fragment:
        """Take apart a fragment that has lost its cue."""
        text = text.strip(_AROUND)
        before = _PREPOSITION.match(text)
        core = text[before.end() :] if before else text
        if not before:  # "Wie sieht es in Kiel aus?"
            core = core.removesuffix(" aus")
        core = _ONE.sub("", _ARTICLE.sub("", core).removesuffix(" aus"))
        return cls(text, before[1].lower() if before else "", core)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A question after the exchange; `sure` is False when it had several parts that could have been meant."""

    text: str
    sure: bool = True


def exchange(question: str, fragment: Fragment) -> Exchanged | None:
    """Return `question` with what the fragment names in place of its like; None when it has no like."""
    if periods := periods_of(fragment.core):
        left = _outside(fragment.core, periods)
        if not significant_words(left):
            return _periods(question, fragment.core, periods)
    for kind in _EXACT:
        if (part := _whole(fragment.core, kind)) and (done := _like(question, part)):
            return done
    if _POSSESSIVE.search(fragment.core) and (done := _possessor(question, fragment.core)):
        return done
    name = _whole(_POSSESSIVE.sub("", fragment.core), "name")
    return _name(question, fragment, name.text) if name else _phrase(question, fragment)


def _periods(question: str, core: str, periods: list[Part]) -> Exchanged | None:
    done = False
    if len(periods) > len({part.kind for part in periods}):  # "2021 and 2022" in the place of one year
        first, last = periods[0], periods[-1]
        periods = [Part(first.kind, first.start, last.end, core[first.start : last.end])]
    for part in periods:
        like = parts_of(question, part.kind)
        if len(like) > 1:
            return None  # a comparison of periods: which one is meant is anybody's guess
        if like:
            question = _put(question, like[0].start, like[0].end, part.text)
            done = True
    return Exchanged(question) if done else None


def _like(question: str, part: Part) -> Exchanged | None:
    like = [other for other in parts_of(question, part.kind) if other.unit == part.unit]
    if not like:
        return None
    return Exchanged(_put(question, like[-1].start, like[-1].end, part.text), sure=len(like) == 1)


def _possessor(question: str, core: str) -> Exchanged | None:
    owners = [match for match in _POSSESSOR.finditer(question) if match[1].lower() not in _NOT_POSSESSORS]
    if not owners:
        return None
    names = [part for part in parts_of(question, "name") if part.end == owners[0].end(1)]
    start = names[0].start if names else owners[0].start()
    owner = _POSSESSIVE.sub("", core)
    return Exchanged(_put(question, start, owners[0].end(1), owner), sure=len({each[1] for each in owners}) == 1)


def _name(question: str, fragment: Fragment, said: str) -> Exchanged | None:
    # "XR-20" is like "XR-35" and not like "spare parts".
    names = [part for part in parts_of(question, "name") if _has_digit(said) or not _is_code(part.text)]
    if not names:
        return _phrase(question, fragment) if fragment.preposition else None
    same = [part for part in names if preposition_before(question, part.start) == fragment.preposition]
    meant = same if fragment.preposition and same else names
    if len(meant) != 1:
        return None
    start, end = meant[0].start, meant[0].end
    if attached := _ATTACHED.match(question, end):  # "Delta 300-H" and "District of Ohio" are one name
        end = attached.end()
    first = said.split(" ", 1)[0]
    if question[:start].endswith(f"{first} "):  # German writes "Anlage A7" like a name of two words
        start -= len(first) + 1
    return Exchanged(_put(question, start, end, said))


def _phrase(question: str, fragment: Fragment) -> Exchanged | None:
    """Exchange `for employees` for `for managers`: the last phrase with the fragment's preposition."""
    if not fragment.preposition:
        return None
    found = list(re.finditer(rf"\b{re.escape(fragment.preposition)}\s+", question, re.IGNORECASE))
    if not found:
        return None
    start = found[-1].end()
    end = _phrase_end(question, start, words=len(_WORD.findall(fragment.core)))
    if end == start or _is_period_span(question, start, end):
        return None
    return Exchanged(_put(question, start, end, fragment.text[len(fragment.preposition) :].strip()))


def _phrase_end(question: str, start: int, *, words: int) -> int:
    """Where the phrase that starts here ends: at the end of the sentence, or after as many words as take its place."""
    article = _ARTICLE.match(question[start : start + 40])
    at = start + article.end() if article else start
    ends: list[int] = []
    while len(ends) < _PHRASE_WORDS and (word := _WORD.match(question, at)) and word[0].lower() not in STOP_WORDS:
        ends.append(word.end())
        at = word.end() + 1
    if not ends:
        return start
    return ends[-1] if not question[ends[-1] :].strip(_AROUND) else ends[: max(1, words)][-1]


def _is_period_span(question: str, start: int, end: int) -> bool:
    return any(part.start < end and start < part.end for part in periods_of(question))


def preposition_before(question: str, start: int) -> str:
    """The word before what starts here, articles aside: the preposition, where there is one."""
    before = _WORD.findall(question[max(0, start - 24) : start])
    before = [word for word in before if not _ARTICLE.match(f"{word} ")]
    return before[-1].lower() if before else ""


def _is_code(name: str) -> bool:
    return " " not in name and _has_digit(name)


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _whole(core: str, kind: Kind) -> Part | None:
    """The part of this kind that the core is; a name may stand at its beginning, where a capital else says nothing."""
    before = "of " if kind == "name" else ""
    parts = parts_of(f"{before}{core}", kind)
    return parts[0] if len(parts) == 1 and parts[0].text == core else None


def _outside(text: str, parts: list[Part]) -> str:
    for part in reversed(parts):
        text = text[: part.start] + text[part.end :]
    return text


def _put(text: str, start: int, end: int, said: str) -> str:
    return text[:start] + said + text[end:]
