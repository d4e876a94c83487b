"""What a model of a given name says, and when: a name goes in, a script comes out.

mock-ttft300-itl20-len120          300 ms to the first token, then one every 20 ms, 120 in all
mock-ttft0-itl0-len50-fail5        the connection breaks after 5 tokens
mock-ttft0-itl0-len50-hang5        silence after 5 tokens; hang0 never says anything
mock-ttft0-itl0-len50-err5         an error line after 5 tokens
mock-ttft0-itl0-len50-err          an error instead of an answer
mock-ttft0-itl0-len50-busy         "server busy" instead of an answer; busy2 for the first two requests only
mock-ttft0-itl200-len50-drip       the bytes of each line one by one, 200 ms apart
mock-say300-Who-pays-for-it?       the words of its name as one token after 300 ms
mock-vision-page5000               5 s for an image, then the text on it (`pages.py`); -fail, -err and -busy as above
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from orjson import dumps

OPENING = ("According", " to", " the", " documents", " [1]")
LISTED = ("mock-ttft0-itl0-len50:latest", "mock-ttft300-itl20-len120:latest", "mock-ttft800-itl40-len80:latest")
"""What `/api/tags` names; every other name of the pattern is served too."""

Fault = Literal["fail", "hang", "err", "busy", "drip"]

_NAME = re.compile(
    r"mock-ttft(?P<ttft>\d{1,6})-itl(?P<itl>\d{1,6})-len(?P<length>\d{1,6})"
    r"(?:-(?P<fault>fail|hang|err|busy|drip)(?P<after>\d{0,6}))?(?::latest)?"
)
_VISION_NAME = re.compile(r"mock-vision-page(?P<page>\d{1,6})(?:-(?P<fault>fail|err|busy))?(?::latest)?")
_SAY_NAME = re.compile(r"mock-say(?P<ttft>\d{1,6})-(?P<said>.{1,500}?)(?::latest)?", re.DOTALL)
_TASKS: Mapping[str, object] = {
    '"title"': {"title": "A mock conversation"},
    '"tags"': {"tags": ["Mock", "Testing"]},
    '"follow_ups"': {"follow_ups": ["What else do the documents say?", "Where is that written?"]},
    '"queries"': {"queries": ["mock query"]},
}


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: delays in seconds, its tokens, and the fault after `fault_after` tokens."""

    ttft_s: float
    itl_s: float
    tokens: tuple[str, ...]
    fault: Fault | None = None
    fault_after: int = 0

    def due_s(self, index: int) -> float:
        """When token `index` is sent, in seconds from the request: never later because earlier ones were late."""
        return self.ttft_s + index * self.itl_s

    def cut(self, max_tokens: int | None) -> Script:
        """The same script, no longer than `max_tokens`."""
        if max_tokens is None or max_tokens < 0 or max_tokens >= len(self.tokens):
            return self
        return Script(self.ttft_s, self.itl_s, self.tokens[:max_tokens], self.fault, self.fault_after)


@lru_cache(maxsize=256)
def read_script(model: str) -> Script | None:
    """The script that a model's name spells, or None when there is no such model."""
    if match := _VISION_NAME.fullmatch(model):
        return Script(ttft_s=int(match["page"]) / 1000, itl_s=0, tokens=("No image.",), fault=_fault(match))
    if match := _SAY_NAME.fullmatch(model):
        return Script(ttft_s=int(match["ttft"]) / 1000, itl_s=0, tokens=(match["said"].replace("-", " "),))
    match = _NAME.fullmatch(model)
    if not match:
        return None
    return Script(
        ttft_s=int(match["ttft"]) / 1000,
        itl_s=int(match["itl"]) / 1000,
        tokens=_tokens(int(match["length"])),
        fault=_fault(match),
        fault_after=int(match["after"] or 0),
    )


def is_vision(model: str) -> bool:
    """Whether a model of this name looks at images."""
    return _VISION_NAME.fullmatch(model) is not None


def task_script(prompt: str) -> Script | None:
    """A short JSON answer at once when the prompt is one of Open WebUI's background tasks, whatever the model."""
    if not prompt.startswith("### Task:"):
        return None
    for key, answer in _TASKS.items():
        if key in prompt:
            return Script(ttft_s=0, itl_s=0, tokens=(dumps(answer).decode(),))
    return Script(ttft_s=0, itl_s=0, tokens=("{}",))


def _fault(match: re.Match[str]) -> Fault | None:
    fault: Fault | None = match["fault"]  # type: ignore[assignment]  # the patterns allow nothing else
    return fault


def _tokens(length: int) -> tuple[str, ...]:
    """Words that can be told apart and counted: the opening, then each word with its place."""
    return (OPENING + tuple(f" word{place}" for place in range(len(OPENING) + 1, length + 1)))[:length]
