"""A text in, at most so many tokens out: for models whose tokenizer only their provider has.

The estimate is for any tokenizer, so it is what the worst of them in use makes of a text. English is in the vocabulary
of all; other languages are cut into pieces of two or three letters by those that were made for English (BERT's), other
scripts into characters, and what is not in a vocabulary at all into bytes (the BPE of GPT, Qwen and Llama).
Beside the counts of BERT's own tokenizer it comes to 1.1 to 1.2 times for English prose and 1.0 to 1.5 times for prose
in most other languages (tests/unit/providers/test_token_estimate.py), so that chunks are about as long as with the
default model; to 1.4 to 1.9 times for tables of figures, of which a chunk then holds fewer rows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

SPECIAL = 2
"""What a model puts around every text."""

ENGLISH = frozenset(
    {
        *("the", "of", "and", "to", "is", "that", "for", "with", "are", "this", "be", "by", "from", "or", "which"),
        *("not", "have", "will", "as", "at", "it", "was", "has", "must", "may", "can", "you", "your", "we", "our"),
        *("its", "their"),
    }
)
"""Words that every English sentence has some of, and other languages hardly any."""
ENGLISH_SHARE = 0.15
"""English prose has 0.3 and more of them; German, Dutch and Danish stay under 0.1."""

_LETTERS = re.compile(r"[A-Za-z]+")
_RUN = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]|\s{2,}|\n")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Counts what is put before every text too. Can be pickled; another process needs nothing else to count alike."""

    prefix: str = ""

    def __call__(self, text: str) -> int:
        return estimate_tokens(self.prefix + text)


def estimate_tokens(text: str) -> int:
    """How many tokens a model may make of a text, special ones included; seldom fewer than it does make of it."""
    # A word is one token up to so many letters, and one more for each so many beyond.
    whole, piece = (7, 3) if _is_english(text) else (3, 2)
    return SPECIAL + math.ceil(sum(_of_run(run, whole, piece) for run in _RUN.findall(text)))


def cut(text: str, tokens: int) -> str:
    """As much of the beginning of a text as fits into so many tokens."""
    # Nothing counts less than this: it spares counting a text of a million characters.
    text = text[: tokens * 16]
    while text and (count := estimate_tokens(text)) > tokens:
        text = text[: min(len(text) - 1, len(text) * tokens // count)]
    return text


def _is_english(text: str) -> bool:
    words = _LETTERS.findall(text)
    return bool(words) and sum(word.lower() in ENGLISH for word in words) >= ENGLISH_SHARE * len(words)


def _of_run(run: str, whole: int, piece: int) -> float:
    if run.isspace():
        return 1
    if not run.isascii() or not run.isalnum():
        return _of_character(ord(run))
    parts = _PART.findall(run)
    if len(parts) > 1 and len(parts) * 4 > len(run):
        return len(run)  # base64, keys, hashes: hardly two of its characters stand together anywhere else
    return sum(_of_part(part, whole, piece) for part in parts)


def _of_part(part: str, whole: int, piece: int) -> int:
    if part.isdigit() or (len(part) > 3 and not _VOWEL.search(part)):
        return len(part)  # some tokenizers take every digit apart
    return 1 + max(0, math.ceil((len(part) - whole) / piece))


def _of_character(code: int) -> float:
    """Tokens of a character, by the blocks of Unicode: at worst the bytes that UTF-8 makes of it."""
    if code < 0x900 or 0x2000 <= code < 0x2070:
        return 1  # Latin with accents, Greek, Cyrillic, Hebrew, Arabic; dashes and quotation marks
    if code < 0xF00:
        return 2  # the scripts of India, Thai and Lao
    if 0x2E80 <= code < 0xA000 or 0xF900 <= code < 0x10000:
        return 1.5  # Chinese and Japanese
    return 3 if code < 0x10000 else 4  # Korean (BERT takes its syllables apart), Khmer, Ethiopic, ...; emoji
