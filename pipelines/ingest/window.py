"""How much text fits beside a title and a section in the window of an embedding model, and how longer text is cut."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain

CountTokens = Callable[[str], int]
"""Tokens of a text as the embedding model counts them, special tokens included."""

PLACE_SHARE = 0.5
"""At most this share of the window goes to the title and the section; outer headings are dropped first."""
ABOUT_TOKENS, ABOUT_SHARE = 24, 8
"""What stands beside the title about the document takes no more tokens, and no larger part of the window (1/8)."""
CAPTION_TOKENS, CAPTION_SHARE = 40, 6
"""Likewise the caption of a table above the rows of a chunk."""

TOKEN_CHARS = 16
"""A token never stands for more characters. Tokenizers make one of a word of any length that they do not know."""
UNCOUNTED = 50_000
"""A text of more characters is not given to the tokenizer, which would take seconds: no window holds it."""

SHORT, REMEMBERED = 200, 20_000
"""So many texts of at most so many characters are counted once: words, cells and places come again and again."""

_WORD = re.compile(r"\S+\s*")


class Window:
    """The budget of one document's chunks. Every text is counted once, in pieces, never as a growing whole."""

    def __init__(self, title: str, about: str, count_tokens: CountTokens, max_tokens: int) -> None:
        self._title = title
        self._count_tokens = count_tokens
        self._max_tokens = max_tokens
        self._special = count_tokens("")
        self._counted = lru_cache(REMEMBERED)(self._count)
        self.caption_tokens = min(CAPTION_TOKENS, max_tokens // CAPTION_SHARE)
        self._places: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}
        self.about = next(self.cut(about, min(ABOUT_TOKENS, max_tokens // ABOUT_SHARE)), "").strip()

    def count(self, text: str) -> int:
        """Tokens of the text itself, without the special ones that a whole input takes; far too many for a long one."""
        return self._counted(text) if len(text) <= SHORT else self._count(text)

    def fits(self, context: str) -> bool:
        """Whether this whole input fits."""
        return self.count(context) + self._special <= self._max_tokens

    def place(self, section: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The title and the section to put before a text, cut to their share of the window."""
        if section not in self._places:
            self._places[section] = self._cut_place(section)
        return self._places[section]

    def room(self, title: str, section: tuple[str, ...]) -> int:
        """Tokens left for a text that stands under this title and section."""
        return max(self._max_tokens - self._special - self._place_tokens(title, section), 1)

    def cut(self, text: str, limit: int) -> Iterator[str]:
        """Runs of whole words of at most `limit` tokens, in order; a word beyond that is cut inside."""
        run, tokens = "", 0
        for word in chain.from_iterable(self._cut_word(match[0], limit) for match in _WORD.finditer(text)):
            size = self.count(word)
            if run and tokens + size > limit:
                yield run
                run, tokens = "", 0
            run, tokens = run + word, tokens + size
        if run:
            yield run

    def _count(self, text: str) -> int:
        if len(text) > UNCOUNTED:
            return len(text)
        return max(self._count_tokens(text) - self._special, len(text) // TOKEN_CHARS)

    def _cut_word(self, word: str, limit: int) -> Iterator[str]:
        tokens = self.count(word)
        if len(word) == 1 or tokens <= limit:
            yield word
            return
        # As many parts as should be needed: halving would count every character many times over.
        step = math.ceil(len(word) / max(math.ceil(tokens / limit), 2))
        for start in range(0, len(word), step):
            yield from self._cut_word(word[start : start + step], limit)

    def _cut_place(self, section: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        if section and section[0] == self._title:
            section = section[1:]
        share = int(self._max_tokens * PLACE_SHARE)
        while section and self._place_tokens(self._title, section) > share:
            section = section[1:]
        title = self._title
        if self._place_tokens(title, section) > share:
            title = next(self.cut(title, share), "").strip()
        return title, section

    def _place_tokens(self, title: str, section: tuple[str, ...]) -> int:
        return self.count(" › ".join(part for part in (title, self.about, *section) if part))
