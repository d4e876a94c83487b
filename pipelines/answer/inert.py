"""Takes the power out of text that others wrote: a document's text goes in, what a prompt may quote of it comes out.

Two things are done, once, for everything that stands in a prompt:

- What nobody sees goes (`visible`): control characters, zero-width characters, tags, and what turns the direction of
  text around. It can hide an instruction or split a delimiter, and has no honest purpose in a prompt. Marks and joiners
  that Arabic, Hebrew, Indic scripts and emoji are written with stay beside such characters.
- What reads like a citation mark is written in braces (`inert`): a model that copies `{7}` cites nothing.
"""

from __future__ import annotations

import re

from pipelines.answer.marks import MARK, OPENERS, inner

_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # soft hyphen, joiner without effect, blank letters
    "\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"  # zero width
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates turn text around
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags: ASCII that nobody sees
    "]"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SHAPERS = "\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
JOINERS = f"\u061c\u200e\u200f{_SHAPERS}"
"""Unseen characters that text is honestly written with, as a regular expression's class: direction marks, joiners,
variation selectors."""
_MANY_JOINERS = re.compile(f"([{JOINERS}]{{2}})[{JOINERS}]+")
_ONLY_SHAPERS = re.compile(f"[{_SHAPERS}]+")
_BEYOND_ASCII = re.compile(r"[^\n\t -~]+")


def visible(text: str) -> str:
    """The text without what nobody sees: every line break is `\\n`, and it can be encoded as UTF-8."""
    in_one_line = text.replace("\n", "").replace("\t", "")
    if in_one_line.isascii() and in_one_line.isprintable():
        return text  # most passages: the rest takes ten times as long
    return _BEYOND_ASCII.sub(lambda run: _seen(run[0]), _BREAK.sub("\n", text))


def inert(text: str) -> str:
    """The visible text, with braces for the brackets of everything that reads like a citation mark.

    Braces and not parentheses: in a financial table (7) is minus seven.
    """
    seen = visible(text)
    if not any(opener in seen for opener in OPENERS):
        return seen
    return MARK.sub(lambda mark: f"{{{inner(mark)}}}", seen)


def _seen(run: str) -> str:
    run = _LONE_SURROGATE.sub("\ufffd", _UNSEEN.sub("", run))
    # An emoji joins with two at once (a variant, then a joiner); more in a row carry bytes, not text.
    run = _MANY_JOINERS.sub(r"\1", run)
    return "" if _ONLY_SHAPERS.fullmatch(run) else run
