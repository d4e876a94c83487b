"""One answer of Bedrock's Converse in its two forms: the events of a stream, and one JSON document."""

from __future__ import annotations

import time
from collections.abc import Sequence
from string import ascii_letters, digits
from typing import Any

import orjson

from tests.fakes import aws_frames
from tests.fakes.aws_scripts import Performance
from tests.models.script import Script

THOUGHTS = ("The question is", " about the documents.")

_PADDING = ascii_letters + digits
_FAILURES = {
    "throttled": ("throttlingException", "Too many requests, please wait before trying again."),
    "internal": ("internalServerException", "The system encountered an unexpected error during processing."),
    "unavailable": ("serviceUnavailableException", "Bedrock is unable to process your request."),
    "invalid": ("validationException", "The model returned the following errors: Malformed input request."),
}


class ConverseWire:
    """The frames of one streamed answer. `usage` is what it reports besides the tokens written."""

    content_type = aws_frames.CONTENT_TYPE

    def __init__(
        self, performance: Performance, usage: dict[str, int], stop_reason: str, trace: dict[str, Any]
    ) -> None:
        self._own = performance.own
        self._usage, self._stop, self._trace = usage, stop_reason, trace
        self._block = 0
        self._sent = 0
        self._started = time.monotonic()

    def token(self, text: str) -> bytes:
        opening = b"" if self._sent else self._opening()
        self._sent += 1
        return opening + self._event("contentBlockDelta", {"contentBlockIndex": self._block, "delta": {"text": text}})

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        metadata = self.metadata(script)
        opening = () if self._sent else (self._opening(),)
        return (
            *opening,
            self._event("contentBlockStop", {"contentBlockIndex": self._block}),
            self._event("messageStop", {"stopReason": "max_tokens" if cut else self._stop}),
            self._event("metadata", metadata),
        )

    def failure(self, message: str) -> bytes:
        """The error in the middle that the model's name spells."""
        if "short" in self._own:
            return b""
        broken = self.token("broken")
        if "crc" in self._own:
            return broken[:-1] + bytes((broken[-1] ^ 1,))
        if "junk" in self._own:
            return aws_frames.event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"te')
        if "utf8" in self._own:
            return aws_frames.event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"\xc3\x28"}}')
        for own in self._own.intersection(_FAILURES):
            kind, said = _FAILURES[own]
            return aws_frames.failure(kind, orjson.dumps({"message": said}))
        body = {"message": message, "originalStatusCode": 500, "originalMessage": message}
        return aws_frames.failure("modelStreamErrorException", orjson.dumps(body))

    def answer(self, script: Script, *, cut: bool) -> dict[str, Any]:
        """The same in one piece."""
        thoughts = [{"reasoningContent": {"reasoningText": {"text": "".join(THOUGHTS)}}}] if self._thinks else []
        text = "".join(script.tokens)
        return {
            "output": {"message": {"role": "assistant", "content": [*thoughts, *([{"text": text}] if text else [])]}},
            "stopReason": "max_tokens" if cut else self._stop,
            **self.metadata(script),
        }

    def metadata(self, script: Script) -> dict[str, Any]:
        """Usage and metrics; the trace where one was asked for."""
        written = len(script.tokens)
        usage = {**self._usage, "outputTokens": written, "totalTokens": sum(self._usage.values()) + written}
        metrics = {"latencyMs": int((time.monotonic() - self._started) * 1000)}
        return {"usage": usage, "metrics": metrics} | ({"trace": self._trace} if self._trace else {})

    @property
    def _thinks(self) -> bool:
        return "think" in self._own

    def _opening(self) -> bytes:
        events = [self._event("messageStart", {"role": "assistant"})]
        if self._thinks:
            deltas: list[dict[str, str]] = [{"text": thought} for thought in THOUGHTS]
            deltas.append({"signature": "RXJrRENr"})
            for delta in deltas:
                body = {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}}
                events.append(self._event("contentBlockDelta", body))
            events.append(self._event("contentBlockStop", {"contentBlockIndex": 0}))
            self._block = 1
        return b"".join(events)

    def _event(self, kind: str, body: dict[str, Any]) -> bytes:
        # AWS pads its events, so that their lengths do not give the tokens away.
        padding = _PADDING[: 1 + (self._sent * 17) % len(_PADDING)]
        return aws_frames.event(kind, orjson.dumps({**body, "p": padding}))
