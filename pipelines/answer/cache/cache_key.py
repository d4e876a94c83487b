"""When two questions are the same to a model: a request and what its prompt rests on go in, a key comes out.

The question and the conversation count without case, spacing and final punctuation. Everything else in the messages
counts to the letter: the system message, each passage with its number and name, and whatever an operator wrote around
them.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata

from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.prompt import spoken_parts
from pipelines.answer.retrievals import Basis
from pipelines.domain import Message

VERSION = 1
"""Goes up when the same key would mean something else, or a kept answer is written otherwise."""


def answer_key(model: str, request: ModelRequest, basis: Basis) -> str:
    """The key of the answer of `model`, a resolved id; SHA-256 in hexadecimal digits."""
    options = [request.options.temperature, request.options.max_tokens, request.fall_back]
    messages = [_comparable(message) for message in request.messages]
    told = [VERSION, model, options, basis.access, basis.corpus, messages]
    # Lists within lists: nothing that stands in one part can pass for another.
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def normalised(text: str) -> str:
    """What a person asked, as it is compared."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return plain.rstrip("?!. ") or plain


def _comparable(message: Message) -> list[str]:
    if message.role != "user":
        return [message.role, message.content]
    parts = spoken_parts(message.content)
    # Every second part was spoken; a message that is no prompt of ours is one part.
    return [message.role, *(normalised(part) if place % 2 else part for place, part in enumerate(parts))]
