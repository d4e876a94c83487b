"""Whether an answer says a fact, or that there is none: texts go in, yes or no comes out.

A model that was told to give numbers as the document does still writes `1 800 €` for "1,800 EUR" and `30-day` for
"30 days". Both sides are brought to the same words, and the fact's must stand in the answer's, in order and whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pipelines.answer.prompt import NOT_FOUND

_ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_GERMAN = (
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
)
_ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
_NUMBERS = {word: value for names in (_ENGLISH, _GERMAN) for value, word in enumerate(names.split())}
_NUMBERS |= dict.fromkeys(("eine", "einen", "einem", "einer", "eins"), 1)
_TENS = {word: 10 * value for names in (_ENGLISH_TENS, _GERMAN_TENS) for value, word in enumerate(names.split(), 2)}
_UNITS = {
    "%": "percent", "per cent": "percent", "prozent": "percent",
    "€": "eur", "euros": "eur", "euro": "eur", "$": "usd", "£": "gbp", "us$": "usd",
    "°c": "degrees c", "degrees celsius": "degrees c", "degree celsius": "degrees c",
    "kilometres": "km", "kilometre": "km", "kilometers": "km", "kilometer": "km",
    "kilograms": "kg", "kilogram": "kg", "kilogramm": "kg", "litres": "l", "litre": "l", "liters": "l", "liter": "l",
    "minutes": "min", "minute": "min", "minuten": "min", "hours": "h", "hour": "h", "hrs": "h",
    "seconds": "s", "second": "s",
}  # fmt: skip
_UNIT = re.compile(rf"(?<![^\W\d])(?:{'|'.join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))})(?![^\W\d])")
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_MONTH_FIRST = re.compile(rf"\b({_MONTHS}) (\d{{1,2}})(?:st|nd|rd|th)?\b,?")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
_MONEY_FIRST = re.compile(r"(eur|usd|gbp|chf) ?(\d(?:[\d.,' ]*\d)?)(?! ?(?:eur|usd|gbp|chf))")
_DASH = re.compile(r"[‐‑‒–—―−]")
_RANGE = re.compile(r"(?<=\d)(?: ?- ?| (?:until|till|bis) )(?=\d)")
_NUMBER = re.compile(r"(?<!\d)[1-9]\d{0,2}(?:[.,' ]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?")
_TOKEN = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?|[^\W\d]+|\d+(?:\.\d+)?")
_TENS_AND_ONE = re.compile(rf"\b({'|'.join(_TENS)})[- ]({'|'.join(_ENGLISH.split()[1:10])})\b")

_CITED = re.compile(r"\[\d+(?:\s*,\s*\d+)*\]")
_DECLINES = re.compile(
    r"(could|can|did|do|was|were|am|is|are)(?: not|n['’]t) (?:able to )?(?:be )?(?:find|found|locate)|unable to find"
    r"|nicht (?:finden|gefunden)|nichts (?:gefunden|finden)|n['’]ai (?:pas|rien) (?:pu )?(?:trouv)"
    r"|no (?:he podido|pude|puedo|encontr|he encontrado)|non (?:ho trovato|sono riuscit|riesco a trovare)"
    r"|não (?:encontrei|consegui|foi possível)|niet (?:vinden|gevonden)|kunde inte hitta|kunne ikke finde?"
    r"|nie (?:znalaz|mog)|не (?:удалось|смог|нашё?л)|見つかりません|未找到|找不到"
)
DECLINE_CHARACTERS = 160
"""A translated decline is one short sentence; what is longer has begun to answer."""


def says(fact: str, answer: str) -> bool:
    """Whether the answer has the fact's words and numbers in order, whatever their spelling.

    A comma or a point before exactly three digits parts thousands, as it does in English or in German: 1,800 and 1.800.
    """
    return _within(_words(fact), _words(answer))


def declines(answer: str) -> bool:
    """Whether the answer is the sentence that nothing was found, or its translation, and nothing else.

    An answer with a citation, or with a second sentence, is none: who quotes has not declined.
    """
    said = " ".join(answer.split()).strip("\"'“”„*_ ")
    if said.rstrip(".") == NOT_FOUND.rstrip("."):
        return True
    one_sentence = not re.search(r"[.!?]\s+\w", said)
    short = len(said) <= DECLINE_CHARACTERS and one_sentence and not _CITED.search(said)
    return short and _DECLINES.search(said.casefold()) is not None


def _words(text: str) -> list[str]:
    plain = _CITED.sub(" ", _DASH.sub("-", unicodedata.normalize("NFKC", text)))
    plain = " ".join(plain.replace("*", "").replace("’", "'").casefold().split())
    plain = _UNIT.sub(lambda found: f" {_UNITS[found[0]]} ", plain)
    plain = _MONTH_FIRST.sub(r"\2 \1", " ".join(plain.split()))
    plain = _MONEY_FIRST.sub(r"\2 \1", plain)
    plain = _RANGE.sub(" to ", _ORDINAL.sub(r"\1", plain))
    plain = _TENS_AND_ONE.sub(lambda found: str(_TENS[found[1]] + _NUMBERS[found[2]]), plain)
    plain = _NUMBER.sub(lambda found: _number(found[0]), plain)
    return [_word(token) for token in _TOKEN.findall(plain)]


def _number(written: str) -> str:
    """One spelling for one number: no marks between thousands, a point before decimals, no zeros at their end."""
    *thousands, last = re.split(r"[.,' ]", written)
    if not thousands or (len(last) == 3 and not written.startswith("0")):
        return "".join((*thousands, last))
    part = last.rstrip("0")
    return "".join(thousands) + (f".{part}" if part else "")


def _word(token: str) -> str:
    if token in _NUMBERS:
        return str(_NUMBERS[token])
    if token in _TENS:
        return str(_TENS[token])
    return token[:-1] if len(token) > 3 and token.endswith("s") and not token.endswith("ss") else token


def _within(part: Sequence[str], whole: Sequence[str]) -> bool:
    return bool(part) and any(list(whole[at : at + len(part)]) == list(part) for at in range(len(whole)))
