"""Tells whether a question leans on the turn before it: its text goes in, the way it leans comes out."""

from __future__ import annotations

import re
from typing import Literal

from pipelines.answer.understand.parts import periods_of
from pipelines.answer.words import INTERROGATIVES, PREPOSITIONS, significant_words, words

Leaning = Literal["more", "fragment", "question", "pointer"]
"""`more` asks for more of the same, `fragment` names only what is different ("and in Oslo?"), `question` has hardly a
word of its own ("since when?"), and `pointer` says "it"."""

_READ_CHARACTERS = 400
"""A longer question explains itself; its first words tell."""
_SHORT_QUESTION_WORDS = 12
"""A longer question that says "it" mostly says what as well."""
_SHORT_QUESTION_CHARACTERS = 200
_SHORT_WORDS = 3
_FRAGMENT_WORDS = 6
_FRAGMENT_CHARACTERS = 100
_OWN_SUBJECT = 4
"""A question with this many words about something stands alone even after "and"."""
_ANTECEDENT = 3
"""With this many words about something before it, "it" means one of them."""

_CUE = re.compile(
    r"^\W*(?:(?:and|also|but|so|then|ok(?:ay)?|no|sorry|actually|rather|instead|i mean[t]?|what about|how about|"
    r"what if|the same for|same for|und|auch|aber|dann|nein|ich mein(?:t)?e|was ist mit|wie (?:sieht|ist|steht) es|"
    r"wie sieht['’]?s|wie schaut es)\b[\s,:]*)+",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"^\W*(?:please |bitte |can you |could you |kannst du )*(?:tell me more|more(?: details?| information)?|elaborate|"
    r"go on|continue|details?|explain(?: (?:it|that|this|more|further))?|an? example|give (?:me )?an example|"
    r"mehr(?: dazu| details| davon)?|weiter|genauer|erkläre? (?:das|es)(?: genauer)?|ein beispiel)"
    r"(?: about (?:it|that|this))?(?: please| bitte)?\W*$",
    re.IGNORECASE,
)
_ASKS = re.compile(
    rf"^\W*(?:(?:{'|'.join(PREPOSITIONS)}) )?(?:{'|'.join(INTERROGATIVES)}|is|are|was|were|do|does|did|can|could|may|"
    r"must|should|will|would|has|have|had|show|list|tell|give|find|explain|describe|define|summari[sz]e|compare|ist|sind|"
    r"gilt|gelten|gibt|hat|habe|haben|kann|können|darf|dürfen|muss|müssen|wird|werden|soll|nenne|zeige?|erkläre?|"
    r"beschreibe?|vergleiche?)\b",
    re.IGNORECASE,
)
_DEFINES = re.compile(
    r"^\W*(?:what|who|was|wer|where|wo)(?:['’]s|\s+(?:is|are|was|were|ist|sind|war))\s", re.IGNORECASE
)
_STARTS_WITH_PREPOSITION = re.compile(rf"^\W*(?:{'|'.join(PREPOSITIONS)})\s", re.IGNORECASE)
_CONDITION = re.compile(
    r"^\W*(?:if (?:so|not|yes)|in (?:that|this|which) case|otherwise|falls (?:ja|nein)|wenn ja)\b", re.I
)
_COMPARES = re.compile(
    r"\b(?:higher|lower|larger|bigger|smaller|longer|shorter|cheaper|better|worse|newer|older|faster|slower|höher|"
    r"niedriger|größer|kleiner|länger|kürzer|billiger|teurer|besser|schlechter|neuer|älter|schneller)\b"
    r"(?! (?:than|als)\b)(?=\W*$| (?:in|for|at|on|now|there|today|this|bei|für|im|jetzt|dort)\b)",
    re.IGNORECASE,
)
_TIME = r"(?: (?:year|quarter|month|week|morning|afternoon|jahr|quartal|monat|woche)\b)"
_POINTER = re.compile(
    r"\b(?:"
    r"(?P<pronoun>they|them|he|she|him|theirs|her(?=\W*$| (?:in|at|on|for|by|about)\b)|ihnen|ihm)|"
    r"(?P<possessive>its|their|his|her|dessen|deren)|"
    r"(?P<it>it|es)|"
    rf"(?P<demonstrative>th(?:is|ese)(?!{_TIME})|those(?! who| with| that)|diese[rsnm]?(?!{_TIME})|dies|jene[rsnm]?)|"
    r"(?P<sure>the same|the (?:former|latter|above|other (?:one|two))|(?:which|this|that|each|the \w+) ones?|"
    r"the (?:previous|preceding) (?:one|answer|question|point)|the (?:first|second|third|fourth|fifth|last)(?=\W*$)|"
    r"dafür|davon|darüber|dabei|damit|dazu|darin|daran|dort|dorthin|d(?:er|ie|as) (?:erste|zweite|dritte|vierte|letzte)"
    r"(?=\W*$| (?:punkt|schritt|option)\b)|(?:the )?(?:first|second|third|fourth|fifth|last) (?:point|option|item|step|"
    r"case|rule|condition|example|bullet)|denselben|dasselbe|dieselbe)|"
    r"(?P<that>(?:^|(?:is|was|does|did|do|would|can|will|of|about|for|on|with|by|to|than|after|before|like|at|in) )"
    r"that(?! (?:the|a|an|are|is|was|were|i|we|you|people)\b)|das(?=\W*$|[?.!,]| (?:auch|genau|dann|für|in|bei|gilt|"
    r"ist|sind|bedeutet|heißt)\b))|"
    r"(?P<there>there(?! (?:is|are|was|were|be|been|any|a|an|also)\b))"
    r")\b",
    re.IGNORECASE,
)
_SIE = re.compile(r"\bsie\b")
"""In small letters: `Sie` is the reader."""
_EXISTS = re.compile(r"\b(?:is|are|was|were|will|has|have|should)(?: be| been)? $", re.IGNORECASE)
_EMPTY_IT = re.compile(
    r"\bit(?=\s+(?:is|was|be|true|ok|okay|possible|allowed|permitted|necessary|required|mandatory|legal|safe|take|cost|"
    r"ever|still|always)\b[^?]*\b(?:to|that|for|if|when)\b)|\b(?:gibt|geht) es\b|\bes gibt\b|"
    r"\bist es (?:möglich|erlaubt)",
    re.IGNORECASE,
)
_BOUNDARY = re.compile(r"[,;:.!?]| (?:and|or|but|if|when|that|und|oder|aber|wenn|dass|falls) ")
_WHO_DOES = re.compile(r"^\W*(?:who|what|wer|was)\s", re.IGNORECASE)


def leaning(text: str) -> Leaning | None:
    """How a question leans on the one before it; None when it stands alone."""
    text = text[:_READ_CHARACTERS]
    rest = without_cue(text)
    cued = rest != text.strip()
    about = significant_words(rest)
    if _MORE.match(text) or not words(text):
        return "more"
    if not about:
        return "question"
    if _CONDITION.match(rest) or points(rest):
        return "pointer"
    if _is_fragment(rest, len(about), cued=cued):
        return "fragment"
    short = len(words(rest)) <= _SHORT_WORDS and len(about) == 1 and not _DEFINES.match(rest)
    if short or (cued and len(about) < _OWN_SUBJECT):
        return "question"
    return None


def is_follow_up(text: str) -> bool:
    """Whether a question leans on the turn before it, judged by its words alone."""
    return leaning(text) is not None


def without_cue(text: str) -> str:
    """A question without the "and", "what about", "und" or "no, I meant" that it begins with."""
    return text[cue.end() :].strip() if (cue := _CUE.match(text)) else text.strip()


def points(text: str) -> re.Match[str] | None:
    """The first word that stands for something said before, such as "it" or a comparison without a standard."""
    if len(text) > _SHORT_QUESTION_CHARACTERS or len(words(text)) > _SHORT_QUESTION_WORDS:
        return None
    for match in _POINTER.finditer(text):
        if not _means_something_here(text, match):
            return match
    return _SIE.search(text) or _COMPARES.search(text)


def asks(text: str) -> bool:
    """Whether a text begins as a question or a request does."""
    return _ASKS.match(text) is not None


def _means_something_here(text: str, pointer: re.Match[str]) -> bool:
    kind, before = pointer.lastgroup, text[: pointer.start()]
    if kind == "sure":
        return False
    if kind == "there" and _EXISTS.search(before):
        return True
    if kind == "it" and any(found.start() <= pointer.start() < found.end() for found in _EMPTY_IT.finditer(text)):
        return True
    about = len(significant_words(before))
    if kind == "possessive":
        return about - bool(_WHO_DOES.match(before)) >= 1
    return about >= _ANTECEDENT or (about >= _ANTECEDENT - 1 and _BOUNDARY.search(before) is not None)


def _is_fragment(rest: str, about: int, *, cued: bool) -> bool:
    if len(rest) > _FRAGMENT_CHARACTERS or len(words(rest)) > _FRAGMENT_WORDS or _ASKS.match(rest):
        return False
    return cued or about == 1 or _STARTS_WITH_PREPOSITION.match(rest) is not None or _is_period(rest)


def _is_period(text: str) -> bool:
    for part in reversed(periods_of(text)):
        text = text[: part.start] + text[part.end :]
    return not significant_words(text)
