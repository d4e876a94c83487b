"""Which words of a text carry its meaning: text goes in, words come out in order."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|\w+(?:['’]\w+)?")

_STOP_WORDS = """
a about all also am an and any anyone are as at be been being but by can could did do does doing done each for from
get gets give given go got had has have having he her here hers him his how i if in into is it its just know let
like list long many may me might mine more most much must my need no nor not of off on once one only onto or other
our ours out over per please shall she should show so some someone such tell than that the their theirs them
then there these they this those through to too under until up us use used using very want was way we were what
what's when where which while who whom whose why will with within without would you your yours
der die das den dem des ein eine einen einem einer und oder aber ist sind war wird werden wie was wer wo wann warum
welche welcher welches für mit von vom zu zum zur im in ins auf bei aus nach über unter ich du er sie es wir ihr
mein dein sein unser kann darf muss soll hat haben gibt viel viele auch nicht
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about the subject, in English and German."""

_PREPOSITIONS = """
in at on for of from by to with during under over per after before within without since until im am an bei beim für
von vom aus mit nach vor während unter über zu zum zur auf ab bis seit innerhalb
"""
_INTERROGATIVES = """
who what when where why how which whose whom wer wen wem was wann wo wohin wie wieviel wieviele warum wieso weshalb
welche welcher welches welchen welchem
"""
PREPOSITIONS = tuple(_PREPOSITIONS.split())
"""Words before a name, a place or a time, in English and German."""
INTERROGATIVES = tuple(_INTERROGATIVES.split())
"""Words that a question begins with, in English and German."""

_AKIN_LETTERS = 4
_AKIN_ENDING = 3


def words(text: str) -> list[str]:
    """Every word and number, as written."""
    return _WORD.findall(text)


def significant_words(text: str) -> list[str]:
    """The words that are about something, as written, without repetitions."""
    seen: dict[str, str] = {}
    for word in words(text):
        if word.lower() not in STOP_WORDS:
            seen.setdefault(word.lower(), word)
    return list(seen.values())


def stem(word: str) -> str:
    """A word without its commonest endings, so that `days` and `day`, `reimbursed` and `reimburse` are the same."""
    word = _without_accents(word.lower()).replace("’", "'").removesuffix("'s")
    for ending, kept in (
        ("ies", "y"),
        ("sses", "ss"),
        ("xes", "x"),
        ("hes", "h"),
        ("ing", ""),
        ("ement", ""),
        ("ed", ""),
        ("s", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us")):
            word = word[: -len(ending)] + kept
            break
    return word.removesuffix("e") if len(word) > 4 else word


def _without_accents(word: str) -> str:
    """`Djupö` as a file's name spells it: djupo."""
    if word.isascii():
        return word
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


def akin(one: str, other: str) -> bool:
    """Whether two stems are forms of one word, such as `weigh` and `weight`."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and len(short) >= _AKIN_LETTERS and len(long) - len(short) <= _AKIN_ENDING
