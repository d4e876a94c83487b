"""What a model of Bedrock or an endpoint of SageMaker does by its name: a name goes in, a performance comes out.

The name of `tests/models/script.py` stands anywhere in the id, and what only AWS does stands behind it:

mock.mock-ttft300-itl20-len120-v1:0   as the model server's; bare, with a vendor, a version or in an ARN
mock-ttft0-itl0-len9-err5-throttled   the error after 5 tokens is throttling; also -internal, -unavailable, -invalid
mock-ttft0-itl0-len9-err5-junk        a frame whose payload is no JSON; also -utf8 (is no UTF-8), -crc (wrong checksum)
mock-ttft0-itl0-len9-err5-short       the stream ends after 5 tokens as if that were its end
mock-ttft0-itl0-len9-err-unavailable  the same errors in place of an answer
mock-ttft0-itl0-len9-denied           IAM does not allow it; -closed: the account has no access to the model
mock-ttft0-itl0-len9-ondemand         can only be asked by an inference profile
mock-ttft0-itl0-len9-ctx500           reads 500 tokens at most
mock-ttft0-itl0-len9-guarded          the guardrail intervenes, if one is asked for
mock-ttft0-itl0-len9-filtered         stops because of what it said; -window: because its context is full
mock-ttft0-itl0-len9-think            thinks aloud before it answers
mock-ttft0-itl0-len9-lines            an endpoint that streams lines of JSON, as LMI's own handlers do, and no events
mock-ttft0-itl0-len9-wide             speaks in characters of two to four bytes
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tests.models.script import OPENING, Script, read_script, task_script

DEFAULT = Script(ttft_s=0.02, itl_s=0.002, tokens=(*OPENING, " the", " answer", " is", " §", "7", "."))
"""What a model says whose name spells nothing."""

_OWN = (
    *("throttled", "internal", "unavailable", "invalid", "junk", "utf8", "crc", "short"),
    *("denied", "closed", "ondemand", "guarded", "filtered", "window", "think", "lines", "wide"),
)
_ENDING = re.compile(rf"-(?:({'|'.join(_OWN)})|ctx(\d{{1,7}}))$")
_VERSION = re.compile(r"(?:-v\d+)?(?::\d+)?$")
_WIDE = " größere Wörter €𝄞"


@dataclass(frozen=True, slots=True)
class Performance:
    """A script, what AWS adds to it (`own`), and the longest prompt it reads where its name says one."""

    script: Script
    own: frozenset[str] = frozenset()
    context_tokens: int | None = None

    def for_messages(self, question: str, max_tokens: int | None) -> Performance:
        """The same, shortened to `max_tokens`, or the JSON of one of Open WebUI's background tasks."""
        script = task_script(question) or self.script
        return replace(self, script=script.cut(max_tokens))


@lru_cache(maxsize=256)
def read_performance(name: str) -> Performance | None:
    """What an id or a name spells, or None when it spells nothing."""
    start = name.find("mock-")
    if start < 0:
        return None
    rest, own, context = _VERSION.sub("", name[start:]), set(), None
    while ending := _ENDING.search(rest):
        own.add(ending[1] or "ctx")
        context = int(ending[2]) if ending[2] else context
        rest = rest[: ending.start()]
    script = read_script(rest)
    if script is None:
        return None
    if "wide" in own:
        script = replace(script, tokens=tuple(f"{_WIDE} {place}" for place, _ in enumerate(script.tokens, 1)))
    return Performance(script, frozenset(own), context)


def tokens_of(texts: Sequence[str]) -> int:
    """How many tokens the texts are counted as: one for every four characters, as providers' rules of thumb have it."""
    return sum(-(-len(text) // 4) for text in texts)


def texts_of(content: Any) -> list[str]:
    """The texts of a message in either form: a string, or blocks that have a `text`."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if isinstance(part, dict) and isinstance(part.get("text"), str)]
