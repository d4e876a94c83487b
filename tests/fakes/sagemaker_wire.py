"""One streamed answer of SageMaker: the container's lines, and the parts in which they are sent on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from tests.fakes import aws_frames
from tests.models.perform import Wire
from tests.models.script import Script


class JsonLines:
    """The lines of LMI's own handlers: one JSON object each, no last line, and their own words for why they stop.

    https://docs.djl.ai/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
    """

    content_type = "application/jsonlines"

    def __init__(self) -> None:
        self._created = int(time.time())

    def token(self, text: str) -> bytes:
        return self._line({"content": text, "role": "assistant"}, None)

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        return (self._line({"content": ""}, "length" if cut else "eos_token"),)

    def failure(self, message: str) -> bytes:
        return orjson.dumps({"error": message, "code": 424}) + b"\n"

    def _line(self, delta: dict[str, Any], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": self._created, "choices": [choice]}
        return orjson.dumps(chunk) + b"\n"


class PartsWire:
    """The container's lines as SageMaker sends them: in parts that end wherever they end, in a line or a character."""

    content_type = aws_frames.CONTENT_TYPE

    def __init__(self, lines: Wire, own: frozenset[str]) -> None:
        self._lines, self._own = lines, own

    def token(self, text: str) -> bytes:
        return parts(self._lines.token(text))

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        return (parts(b"".join(self._lines.ending(script, cut=cut))),)

    def failure(self, message: str) -> bytes:
        """The error in the middle that the endpoint's name spells."""
        if "short" in self._own:
            return b""
        broken = self.token("broken")
        if "crc" in self._own:
            return broken[:-1] + bytes((broken[-1] ^ 1,))
        if "junk" in self._own:
            return parts(b'data: {"choices": [{"delta"\n\n')
        if "utf8" in self._own:
            return parts(b'data: {"choices":[{"index":0,"delta":{"content":"\xc3\x28"}}]}\n\n')
        if "invalid" in self._own:
            return parts(self._lines.failure(message))
        if "internal" in self._own:
            body = {"Message": "The system encountered an internal error."}
            return aws_frames.failure("InternalStreamFailure", orjson.dumps(body))
        body = {"Message": message, "ErrorCode": "StreamBroken"}
        return aws_frames.failure("ModelStreamError", orjson.dumps(body))


def parts(data: bytes) -> bytes:
    """Three frames of `data`, the second of which begins inside a character of several bytes, if there is one."""
    first = next((place + 1 for place, byte in enumerate(data) if byte >= 0xC0), len(data) // 3)
    second = first + (len(data) - first) // 2
    cut = (data[:first], data[first:second], data[second:])
    return b"".join(aws_frames.event("PayloadPart", part, "application/octet-stream") for part in cut)
