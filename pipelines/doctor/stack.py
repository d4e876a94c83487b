"""The parts that answer a question: their addresses go in; whether they run, and know each other's keys, comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from pipelines import __version__
from pipelines.doctor.finding import Finding, failed, ok, warning
from pipelines.settings import Settings

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class WebPart:
    """A part of the stack, the path at which it says in JSON that it works, and the setting that moves its port."""

    name: str
    url: str
    path: str
    port_setting: str
    log: str

    @property
    def address(self) -> str:
        return f"{self.url.rstrip('/')}{self.path}"


def pipelines_part(settings: Settings) -> WebPart:
    return WebPart("pipelines", settings.pipelines_url, "/health", "PIPELINES_PORT", "pipelines")


def n8n_part(settings: Settings) -> WebPart:
    return WebPart("n8n", settings.n8n_url, "/healthz/readiness", "N8N_PORT", "n8n")


def open_webui_part(settings: Settings) -> WebPart:
    return WebPart("open-webui", settings.open_webui_url, "/ready", "OPEN_WEBUI_PORT", "open-webui")


def web_parts(settings: Settings) -> tuple[WebPart, ...]:
    """In the order in which a question passes them."""
    return (open_webui_part(settings), pipelines_part(settings), n8n_part(settings))


def look_at_stack(settings: Settings) -> Iterator[Finding]:
    """Whether anything runs at all: where nothing does, that is one thing to say, and not one for each part."""
    parts = web_parts(settings)
    if not all(_is_local(part.url) for part in parts):
        yield ok("stack", "its parts run on other machines, too")
    elif running := [part.name for part in parts if _answers(part)]:
        yield ok("stack", f"{len(running)} of {len(parts)} parts answer: {', '.join(running)}")
    else:
        yield failed("stack", "does not run here", "start the stack")


def look_at_pipelines(settings: Settings) -> Iterator[Finding]:
    """Whether it runs, in this version, and takes the key that n8n and the command line show it."""
    part = pipelines_part(settings)
    health = ask_health(part)
    if isinstance(health, Finding):
        yield health
        return
    said = health.json()
    chunks = said.get("chunks")
    seen = f"{part.url} runs {said.get('version', 'an unknown version')}"
    if said.get("version") != __version__:
        yield warning(part.name, f"{seen}, and this command is {__version__}", "stop the stack and start it again")
    else:
        yield ok(part.name, f"{seen}" + (f", {chunks} passages in its index" if chunks is not None else ""))


def look_at_keys(settings: Settings) -> Iterator[Finding]:
    """Whether the running pipelines takes the internal key of these settings."""
    key = settings.internal_api_key.get_secret_value()
    address = f"{settings.pipelines_url.rstrip('/')}/llm/v1/models"
    answer = _get(address, {"x-ragline-key": key})
    if answer is None:
        yield failed("pipelines key", f"{address} does not answer", "look at the log of pipelines")
    elif answer.status_code == httpx.codes.UNAUTHORIZED:
        yield failed(
            "pipelines key",
            "pipelines runs with another INTERNAL_API_KEY than these settings say",
            "stop the stack and start it again",
        )
    elif not answer.is_success:
        yield failed("pipelines key", f"{address} answered {answer.status_code}", "look at the log of pipelines")
    else:
        yield ok("pipelines key", "the internal key is taken")


def ask_health(part: WebPart) -> httpx.Response | Finding:
    """What the part says of itself, which is JSON, or what is wrong with it."""
    answer = _get(part.address)
    if answer is None:
        return failed(
            part.name,
            f"does not answer at {part.url}",
            f"start the stack; where that fails, the log of {part.log} says why",
        )
    if answer.is_success and _is_json(answer):
        return answer
    if _is_json(answer) or answer.is_server_error:
        return failed(
            part.name, f"is not ready (status {answer.status_code})", f"wait, or look at the log of {part.log}"
        )
    if answer.is_success and part.name == "n8n":
        # It answers everything with a page of text while it migrates its database (n8n 2.40).
        return failed(part.name, "is starting", "wait, and ask again")
    return failed(
        part.name,
        f"another program answers at {part.url}",
        f"stop that, or set {part.port_setting} in .env and start the stack again",
    )


def _get(address: str, headers: dict[str, str] | None = None) -> httpx.Response | None:
    try:
        # A proxy meant for the internet must not get between us and a part of our own.
        return httpx.get(address, headers=headers, timeout=TIMEOUT_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def _answers(part: WebPart) -> bool:
    return _get(part.address) is not None


def _is_json(answer: httpx.Response) -> bool:
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
