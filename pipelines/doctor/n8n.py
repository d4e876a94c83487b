"""n8n: its owner, its key and the answering workflow are tried; nothing is changed, and no model is asked."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from pipelines.doctor.finding import Finding, failed, ok, refused, skipped, warning
from pipelines.doctor.stack import TIMEOUT_S, ask_health, n8n_part
from pipelines.errors import SetupFailed
from pipelines.provision.n8n import try_workflow
from pipelines.provision.run import n8n_target
from pipelines.settings import Settings, StackSettings

PROVISION = "provision it again: `ragline provision`"
LOG = "look at the log of n8n"


def look_at_n8n(settings: Settings) -> Iterator[Finding]:
    """Whether it is ready."""
    health = ask_health(n8n_part(settings))
    yield health if isinstance(health, Finding) else ok("n8n", f"{settings.n8n_url} is ready")


def look_at_owner(settings: Settings) -> Iterator[Finding]:
    """Whether the owner's password opens the editor."""
    if not isinstance(settings, StackSettings):
        yield skipped("n8n owner", "its password is not among the settings of this process")
        return
    login = {
        "emailOrLdapLoginId": settings.n8n_owner_email,
        "password": settings.n8n_owner_password.get_secret_value(),
    }
    answer = _ask("POST", f"{settings.n8n_url}/rest/login", headers={"browser-id": "ragline"}, body=login)
    if answer is not None and answer.is_success:
        yield ok("n8n owner", f"{settings.n8n_owner_email} signs in")
    elif answer is not None and answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        yield warning("n8n owner", "n8n was signed in to too often just now", "ask again in five minutes")
    elif answer is not None and answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.NOT_FOUND):
        yield failed(
            "n8n owner",
            f"n8n does not know {settings.n8n_owner_email} with N8N_OWNER_PASSWORD",
            "set N8N_OWNER_EMAIL and N8N_OWNER_PASSWORD in .env to what its owner has",
        )
    else:
        yield failed("n8n owner", f"n8n answered {_status(answer)}", LOG)


def look_at_api_key(settings: Settings) -> Iterator[Finding]:
    """Whether the key with which runs are stopped is there, and is taken."""
    file = settings.n8n_api_key_file
    try:
        key = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        yield failed("n8n api key", f"{file} cannot be read: an answer that is stopped would run on", PROVISION)
        return
    answer = _ask("GET", f"{settings.n8n_url}/api/v1/workflows?limit=1", headers={"X-N8N-API-KEY": key})
    if answer is not None and answer.is_success:
        yield ok("n8n api key", f"the key in {file} is taken")
    elif answer is not None and answer.status_code == httpx.codes.UNAUTHORIZED:
        yield failed("n8n api key", f"n8n refuses the key in {file}", PROVISION)
    else:
        yield failed("n8n api key", f"n8n answered {_status(answer)}", LOG)


def look_at_webhook(settings: Settings) -> Iterator[Finding]:
    """Whether the answering workflow is published and closed to those without the key, and answers with quotes."""
    address = f"{settings.workflow_url}/webhook/{settings.workflow_path}"
    answer = _ask("POST", address, body={})
    if answer is None:
        yield failed("n8n webhook", f"{address} does not answer", LOG)
    elif answer.status_code == httpx.codes.NOT_FOUND:
        yield failed("n8n webhook", f"no workflow with the path {settings.workflow_path} is published", PROVISION)
    elif answer.status_code == httpx.codes.FORBIDDEN:
        yield ok("n8n webhook", f"{settings.workflow_path} is published, and asks for its key")
    elif answer.is_success:
        yield failed(
            "n8n webhook",
            f"{address} answers without a key: anybody who reaches it reads documents",
            "set its authentication to Header Auth with the credential `Ragline webhook key`, and publish it",
        )
    else:
        yield failed("n8n webhook", f"{address} answered {_status(answer)}", LOG)


def look_at_answer(settings: Settings) -> Iterator[Finding]:
    """Whether the workflow answers a trial question, which passes n8n, retrieval and the router."""
    if not isinstance(settings, StackSettings):
        yield skipped("n8n answer", "the settings of this process do not have all that n8n is told")
        return
    try:
        try_workflow(n8n_target(settings), settings.workflow_path)
    except SetupFailed as error:
        yield _why_no_answer(error)
        return
    yield ok("n8n answer", "a trial question was answered with quotes, by no model")


def _why_no_answer(error: SetupFailed) -> Finding:
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.FORBIDDEN:
        return failed("n8n answer", "the webhook refuses WEBHOOK_API_KEY", PROVISION)
    if isinstance(cause, httpx.HTTPStatusError):
        return failed("n8n answer", f"the webhook answered {cause.response.status_code}", LOG)
    if isinstance(cause, httpx.TransportError):
        return failed("n8n answer", f"n8n broke off ({type(cause).__name__})", LOG)
    return refused("n8n answer", error, LOG)


def _ask(
    method: str, address: str, *, headers: dict[str, str] | None = None, body: dict[str, str] | None = None
) -> httpx.Response | None:
    try:
        return httpx.request(method, address, headers=headers, json=body, timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError:
        return None


def _status(answer: httpx.Response | None) -> str:
    return "nothing" if answer is None else str(answer.status_code)
