"""What kind of answer a question asks for, and whether a quote holds one: two texts go in, yes or no comes out.

Li and Roth (2002, "Learning Question Classifiers") call this the question's class. A question for an amount is not
answered by a sentence without one, however near it is in meaning. English and German.
"""

from __future__ import annotations

import re

from pipelines.providers.extractive.quotes import Quote


def _one_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words.split())})\b", re.IGNORECASE)


_ASKS_FIGURE = re.compile(
    r"\b(?:how (?:many|much|long|far|often|high|old|big|large|heavy|deep|fast|soon|late|quickly)|"
    r"what (?:time|date|year|percentage|share)|wie (?:viele?|lange|hoch|oft|schnell|weit|schwer|groß))\b",
    re.IGNORECASE,
)
_ASKS_TIME = _one_of("when wann")
_ASKS_AMOUNT = re.compile(
    r"\b(?:costs?|price|how much is paid|how much do(?:es)? .*(?:pay|charge)|kostet|kosten|preis)\b", re.IGNORECASE
)
_ASKS_MEASURE = _one_of("limit rate budget allowance number maximum minimum deadline")
"""Answered by a figure most often."""
_ASKS_NAME = re.compile(
    r"\bwho (?:is|was|are|were) the\b|\bnames? of\b|\bwer ist (?:der|die)\b|\bnamen? de[sr]\b", re.I
)
_ASKS_THING = re.compile(r"\b(?:which|welche[rsnm]?) (\w+)", re.IGNORECASE)

_NUMBER_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty hundred half "
    "quarter third once twice double never always no none nothing free immediately daily weekly monthly yearly every "
    "all unlimited ein eine einen zwei drei vier fünf sechs sieben acht neun zehn elf zwölf halb täglich sofort kein "
    "keine kostenlos jede jeder jeden"
)
_ANY_NUMBER = rf"\d+(?:[.,:]\d+)*|{_one_of(_NUMBER_WORDS).pattern}"
_FIGURE = re.compile(rf"\d|{_one_of(_NUMBER_WORDS).pattern}", re.IGNORECASE)
_TIME = _one_of(
    "(?:mon|tues|wednes|thurs|fri|satur|sun)days? january february march april (?-i:May) june july august september "
    "october november december if when whenever after before until from since during wenn sobald nach vor bis ab "
    "(?:mon|diens|donners|frei|sams|sonn)tags? mittwochs? morgens abends days? weeks? months? years? hours? minutes? "
    "daily weekly monthly yearly always never immediately tage?n? wochen? monate?n? jahre?n? "
    "stunden? minuten? uhr jederzeit "
    "\\d{1,2}[:.]\\d\\d (?:19|20)\\d\\d \\d{1,2}(?:st|nd|rd|th)"
)
_MONEY_WORDS = (
    "EUR USD GBP CHF SEK NOK DKK PLN JPY euros? dollars? pounds? francs? franken crowns? kronor kroner cents? percent "
    "prices? costs? fees? rates? charges? amount preise? kosten gebühr\\w* free kostenlos half nothing whole"
)
_MONEY = re.compile(rf"[€$£¥%]|{_one_of(_MONEY_WORDS).pattern}", re.IGNORECASE)
_MEASURES = re.compile(
    r"(?:day|date|time|hour|month|year|week|number|amount|sum|price|rate|share|percentage|limit|factor|interval|distance|"
    r"temperature|size|age|level|floor|page|tag|datum|uhrzeit|jahr|monat|woche|nummer|betrag|preis|anteil|höhe|seite)s?",
    re.IGNORECASE,
)
"""Which day, which amount: what is asked for with these is a figure."""


def asks_for_figure(question: str) -> bool:
    """Whether a figure answers the question best."""
    asks = (_ASKS_FIGURE, _ASKS_TIME, _ASKS_AMOUNT, _ASKS_MEASURE)
    return any(pattern.search(question) for pattern in asks)


def asks_for_name(question: str) -> bool:
    """Whether only a name answers the question."""
    return _ASKS_NAME.search(question) is not None


def thing_asked_for(question: str) -> str:
    """What "which …" asks for, when it is no figure; else empty."""
    found = _ASKS_THING.search(question)
    return found[1] if found and not _MEASURES.fullmatch(found[1]) else ""


def has_kind(question: str, quote: Quote) -> bool:
    """Whether the quote has the figure, the time or the amount that the question asks for."""
    figure = _FIGURE.search(quote.text) is not None
    if _ASKS_AMOUNT.search(question) and not (figure and _MONEY.search(f"{quote.context}\n{quote.text}")):
        return False
    if _ASKS_FIGURE.search(question) and not figure:
        return False
    return not _ASKS_TIME.search(question) or _TIME.search(quote.text) is not None


def figures(text: str) -> frozenset[str]:
    """The numbers of a text, written out or not."""
    return frozenset(found.lower() for found in re.findall(_ANY_NUMBER, text, re.I))
