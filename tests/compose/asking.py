"""What readers get, whatever happens meanwhile: how one question ended, and one asked again and again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import httpx

from pipelines.demo import Heard, ask
from pipelines.errors import SetupFailed
from pipelines.provision.open_webui import OpenWebUI
from tests.stack import MODEL

End = Literal["answered", "told", "unreachable", "half"]
"""A whole answer; a sentence that says what is wrong; Open WebUI itself is not there; text that just stops."""

Part = Literal["status", "source", "text", "usage", "error"]


@dataclass(frozen=True, slots=True)
class Told:
    """How one question ended. `words` are the answer's, or what the reader was told instead; `by` names the model."""

    end: End
    words: str
    began: float
    seconds: float
    by: str = ""


@dataclass(slots=True)
class Asker:
    """One reader's questions of a while."""

    told: list[Told] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def ends(self) -> set[End]:
        return {one.end for one in self.told}

    def slowest(self) -> float:
        return max((one.seconds for one in self.told), default=0)

    def answered_after(self, moment: float) -> float | None:
        """Seconds from `moment` until a question that was asked later was answered."""
        return next(
            (one.began + one.seconds - moment for one in self.told if one.end == "answered" and one.began >= moment),
            None,
        )

    def said(self) -> list[str]:
        """What readers were told who got no answer, each sentence once."""
        return list(dict.fromkeys(one.words for one in self.told if one.end in ("told", "unreachable")))


def ask_once(reader: OpenWebUI, question: str, *, model: str = MODEL) -> Told:
    """Ask, and say how it ended; an answer is whole only with the account of it that comes last."""
    began = time.monotonic()
    heard = Heard()
    end: End
    try:
        for _, heard in ask(reader, [{"role": "user", "content": question}], model=model):  # noqa: B007
            pass
        end = "told" if heard.error else "answered" if heard.text and heard.usage else "half"
        words = heard.error or heard.text
    except SetupFailed as refused:
        end = "unreachable" if isinstance(refused.__cause__, httpx.TransportError) else "told"
        words = refused.message
    return Told(end, words, began, time.monotonic() - began, str(heard.usage.get("answered_by", "")))


@contextmanager
def asking(reader: OpenWebUI, question: str, *, pause_s: float = 0.5) -> Iterator[Asker]:
    """A reader who asks again and again, never quite the same, so that no kept answer is given."""
    asker, enough = Asker(), threading.Event()

    def ask_on() -> None:
        for number in count(1):
            asker.told.append(ask_once(reader, f"{question} I ask for the {number}th time."))
            if enough.wait(pause_s):
                return

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield asker
    finally:
        enough.set()
        thread.join()


def streamed(reader: OpenWebUI, question: str, *, model: str = MODEL) -> Iterator[tuple[float, Part, str]]:
    """Each part of an answer as it arrives at a client of Open WebUI's API: seconds since the question, kind, words."""
    began = time.monotonic()
    body = {"model": model, "messages": [{"role": "user", "content": question}], "stream": True}
    for line in reader.stream_chat(body):
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        for part, words in _parts(json.loads(line[6:])):
            yield time.monotonic() - began, part, words


def _parts(event: dict[str, object]) -> Iterator[tuple[Part, str]]:
    match event:
        case {"event": {"type": "status", "data": {"description": str(words)}}}:
            yield "status", words
        case {"event": {"type": "source", "data": {"source": {"name": str(name)}}}}:
            yield "source", name
        case {"error": error}:
            yield "error", str(error)
        case {"choices": [{"delta": {"content": str(words)}}, *_]} if words:
            yield "text", words
        case {"usage": dict(usage)} if usage:
            yield "usage", json.dumps(usage)
