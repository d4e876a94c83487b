"""Makes a prompt fit what a model reads: messages go in, the same without their weakest passages come out.

Only a prompt of ours is shortened: its last passages, which are its weakest, and when one is left its oldest turns.
Every other message stays as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.answer.prompt import count_passages, count_turns, with_first_passages, with_last_turns
from pipelines.domain import Message
from pipelines.errors import ContextTooLong

BYTES_PER_TOKEN = 3
"""Fewer than any prose has, so that what fits by this fits: English has 4 to 5 bytes a token with the vocabularies of
Llama 3, Qwen and Nova, German 3 to 4, Chinese 3 bytes a character and at most a token each. Tables of figures can have
fewer; then the provider says so and half of the passages go."""
TOKENS_PER_MESSAGE = 8
"""What a chat template puts around a message."""
ANSWER_TOKENS = 1024
"""Room for an answer where the caller sets no limit; never more than half of what the model reads."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Messages as they are sent, and how many passages were left out of them."""

    messages: tuple[Message, ...]
    dropped: int = 0


def fit(messages: Sequence[Message], context_tokens: int | None, *, max_tokens: int | None) -> Fitted:
    """Return `messages`, shortened until they and an answer take at most `context_tokens`, by a careful estimate.

    One passage stays, and then nothing more is done: the estimate may be wrong, and the provider has the last word.
    """
    whole = Fitted(tuple(messages))
    if context_tokens is None:
        return whole
    return _within(whole, context_tokens - min(max_tokens or ANSWER_TOKENS, context_tokens // 2))


def shorten(fitted: Fitted, refused: ContextTooLong) -> Fitted:
    """Return what is tried next after a provider's refusal: within its limit if it says one, else half the passages.

    Each time something goes, mostly half of what can, so that it ends after a few tries; raises `refused` when nothing
    is left to take out.
    """
    shorter = _within(fitted, refused.limit_tokens) if refused.limit_tokens else fitted
    if shorter is not fitted:
        return shorter
    place = _place(fitted.messages)
    if place is None:
        raise refused
    text = fitted.messages[place].content
    if (passages := count_passages(text)) > 1:
        return _with(fitted, place, with_first_passages(text, passages // 2))
    if turns := count_turns(text):
        return _with(fitted, place, with_last_turns(text, turns // 2))
    raise refused


def estimate_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a model reads, rather more than fewer."""
    return sum(_tokens(message.content) for message in messages)


def _within(fitted: Fitted, room: int) -> Fitted:
    """The same when it fits or cannot be shortened."""
    total = estimate_tokens(fitted.messages)
    place = _place(fitted.messages) if total > room else None
    if place is None:
        return fitted
    text = fitted.messages[place].content
    left = room - (total - _tokens(text))  # for the prompt, beside the other messages
    shorter = _longest(with_first_passages, text, count_passages(text), 1, left)
    shorter = _longest(with_last_turns, shorter, count_turns(shorter), 0, left)
    return fitted if shorter == text else _with(fitted, place, shorter)


def _longest(cut: Callable[[str, int], str], text: str, parts: int, least: int, left: int) -> str:
    """The text with as many of its parts as fit, at least `least`."""
    if parts <= least or _tokens(text) <= left:
        return text
    fitting = bisect_right(range(least + 1, parts), left, key=lambda keep: _tokens(cut(text, keep)))
    return cut(text, least + fitting)


def _place(messages: Sequence[Message]) -> int | None:
    """Where the prompt is: the last message of the user, if it is one of ours that can be shortened."""
    place = next((at for at in reversed(range(len(messages))) if messages[at].role == "user"), None)
    if place is None or not (count_passages(messages[place].content) or count_turns(messages[place].content)):
        return None
    return place


def _with(fitted: Fitted, place: int, text: str) -> Fitted:
    before = fitted.messages[place].content
    messages = (*fitted.messages[:place], Message("user", text), *fitted.messages[place + 1 :])
    return Fitted(messages, fitted.dropped + count_passages(before) - count_passages(text))


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE
