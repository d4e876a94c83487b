"""Has Ollama fetch the models that the settings name: settings go in, models that Ollama can run come out.

Ollama does the fetching and keeps what it has: a fetch that is cut off goes on where it was. A model that is there is
not fetched again, so that a stack without internet starts again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import httpx
from ollama import Client, ProgressResponse, ResponseError

from pipelines.errors import ModelUnavailable, RaglineError, SetupFailed, UnknownModel
from pipelines.provision.pull_progress import Report
from pipelines.settings import Settings

AGAIN = "docker compose up -d ollama-pull"
UNTIL_THEN = f"answers quote your documents until then; to try again: {AGAIN}"
ATTEMPTS = 4
"""So often in a row without a byte more than before; each byte begins the count anew."""
CONNECT_TIMEOUT_S, SILENCE_S = 5.0, 600.0
"""Ollama says nothing while it checks a model of tens of gigabytes."""

VENDOR_ERRORS = (ResponseError, ConnectionError, httpx.HTTPError, ValueError, AttributeError, TypeError)
"""What the client raises; the last three are a line that is not Ollama's protocol."""

_URL = re.compile(r'"?https?://[^\s"]+"?:?\s*')
_NO_SUCH_MODEL = ("file does not exist", "invalid model name", "pull model manifest: 404")
_NO_INTERNET = ("dial tcp", "no such host", "i/o timeout", "network is unreachable", "tls handshake", "proxyconnect")
_FULL = ("no space left on device", "disk quota exceeded")
_TOO_OLD = ("newer version of ollama",)


def models_to_pull(settings: Settings) -> tuple[str, ...]:
    """The models of Ollama that are named, those first without which documents wait."""
    answering = settings.configured_model("ollama") if settings.llm_provider in ("auto", "ollama") else ""
    vision = settings.vision_model
    named = (
        _of_ollama(settings.embedding_model),
        vision if vision and not vision.startswith(("bedrock/", "openai/")) else "",
        answering,
        *map(_of_ollama, (*settings.offered_models(), *settings.fallback_models())),
    )
    return tuple(dict.fromkeys(name.removeprefix("ollama/") for name in named if name))


def pull_models(
    base_url: str, models: Iterable[str], report: Report, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Have Ollama fetch each model that it lacks, and yield each that is there.

    Raises:
        UnknownModel: there is no model of that name; those after it were fetched all the same.
        SetupFailed: its disk is full, or it is too old for the model.
        ModelUnavailable: Ollama does not answer, does not reach the internet, or broke off again and again.
    """
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_TIMEOUT_S)
    unknown: UnknownModel | None = None
    # A proxy meant for the internet must not get between us and a server of our own.
    with Client(host=base_url, timeout=timeout, trust_env=False) as client:
        for model in models:
            try:
                _fetch(client, base_url, model, report, sleep)
            except UnknownModel as error:
                unknown = unknown or error
            else:
                yield model
    if unknown:
        raise unknown


@dataclass(slots=True)
class _Fetch:
    """What is known of one model's fetching, over all its attempts."""

    model: str
    report: Report
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    most: int = 0

    def take(self, parts: Iterable[ProgressResponse]) -> bool:
        """Report what Ollama says, and return whether it said that it is done."""
        done = False
        for part in parts:
            if part.digest and part.total:
                self.layers[part.digest] = (min(part.completed or 0, part.total), part.total)
                self.report.fetched(self.model, self.completed, sum(total for _, total in self.layers.values()))
            elif (part.status or "").startswith("verifying"):
                self.report.finishing(self.model)
            done = part.status == "success"
        return done

    @property
    def completed(self) -> int:
        return sum(completed for completed, _ in self.layers.values())

    def has_moved(self) -> bool:
        """Whether more is there than at the last attempt."""
        moved, self.most = self.completed > self.most, max(self.most, self.completed)
        return moved


def _fetch(client: Client, base_url: str, model: str, report: Report, sleep: Callable[[float], None]) -> None:
    fetch, failures = _Fetch(model, report), 0
    while True:
        try:
            if _is_there(client, model) or fetch.take(client.pull(model, stream=True)):
                return
            problem: RaglineError = _broken_off(model)
        except VENDOR_ERRORS as error:
            problem = _translated(error, model, base_url)
            if isinstance(problem, UnknownModel | SetupFailed):
                raise problem from error
            problem.__cause__ = error
        failures = 1 if fetch.has_moved() else failures + 1
        if failures >= ATTEMPTS:
            raise problem
        sleep(2.0**failures)


def _is_there(client: Client, model: str) -> bool:
    names = {entry.model for entry in client.list().models}
    return bool({model, f"{model}:latest"} & names)


def _translated(error: Exception, model: str, base_url: str) -> RaglineError:
    if isinstance(error, ConnectionError | httpx.ConnectError | httpx.ConnectTimeout):
        return ModelUnavailable(
            f"Ollama does not answer at {base_url}: see that it runs; {UNTIL_THEN}.", whole_provider=True
        )
    if not isinstance(error, ResponseError):
        return _broken_off(model)
    said = error.error.lower()
    if any(sign in said for sign in _FULL):
        return SetupFailed(
            f"The disk that Ollama keeps models on is full: free some space, or choose a smaller OLLAMA_MODEL; "
            f"{UNTIL_THEN}."
        )
    if any(sign in said for sign in _NO_SUCH_MODEL):
        return UnknownModel(
            f"Ollama has no model '{model}': set OLLAMA_MODEL (or what else names it) in .env to a name from "
            f"ollama.com/library, then {AGAIN}."
        )
    if any(sign in said for sign in _TOO_OLD):
        return SetupFailed(f"The model '{model}' needs a newer Ollama: set OLLAMA_IMAGE to one, or choose another.")
    if any(sign in said for sign in _NO_INTERNET):
        return ModelUnavailable(
            f"Ollama does not reach the internet, and so cannot fetch {model}: {UNTIL_THEN}.", whole_provider=True
        )
    # The addresses in it are signed, and say nothing to a person.
    reason = " ".join(_URL.sub("", error.error).split()).rstrip(".") or "no reason given"
    return ModelUnavailable(f"Ollama could not fetch {model} ({reason}): {UNTIL_THEN}.")


def _broken_off(model: str) -> ModelUnavailable:
    return ModelUnavailable(f"The connection to Ollama broke while it fetched {model}: {UNTIL_THEN}.")


def _of_ollama(name: str) -> str:
    return name if name.startswith("ollama/") else ""
