"""Puts credentials and workflows into n8n and publishes them: run at every start, changes only what differs."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import httpx
from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from pipelines.answer.workflow import StreamParser
from pipelines.errors import SetupFailed, Unavailable
from pipelines.provision.n8n_api import json_of, open_api, pages, translated
from pipelines.provision.n8n_credentials import wanted_credentials
from pipelines.provision.n8n_target import N8nTarget
from pipelines.provision.n8n_workflows import Address, Outcome, find_workflow, settle_workflow
from pipelines.provision.normalise import SERVICE_ORIGIN

PUBLISHED_S = 30
"""A publication takes effect within seconds; where webhooks are answered by processes of their own, later still."""
ALONE_S = 120
"""How long a second provisioning of the same stack waits for the first."""


def provision_n8n(target: N8nTarget, workflows: list[Path], *, needed: str = "") -> dict[str, Outcome]:
    """Bring n8n to the state of `workflows` and return what was done with each, once their webhooks answer.

    `needed` names the one that must be there and be published, whatever an operator did.

    Raises:
        SetupFailed: n8n refused, or a webhook did not answer within half a minute; says what to do.
    """
    with _alone(target.api_key_file), open_api(target) as api:
        credentials = _credentials(target, api)
        settled = {
            path.stem: settle_workflow(api, _prepare(path, target, credentials), needed=path.stem == needed)
            for path in workflows
        }
        for name, workflow in settled.items():
            _await_published(target, name, workflow.addresses)
    return {name: workflow.outcome for name, workflow in settled.items()}


def try_workflow(target: N8nTarget, path: str) -> None:
    """Have the answering workflow answer once with quotes, which costs no model call; raises `SetupFailed` if it fails.

    It proves the way through n8n, and the first reader does not wait while n8n loads its nodes (2 s).
    """
    quotes = {"provider": "extractive", "provider_model": "quotes"}
    body = {"question": "Ready?", **quotes, "ask": {"model": "extractive/quotes", "request_id": uuid4().hex}}
    parser = StreamParser()
    headers = {"X-Ragline-Key": target.webhook_key}
    try:
        with (
            translated(),
            httpx.stream(
                "POST", f"{target.webhook_url}/webhook/{path}", json=body, headers=headers, timeout=60
            ) as answer,
        ):
            _require_taken(answer)
            for data in answer.iter_bytes():
                list(parser.feed(data))
        list(parser.finish())
    except Unavailable as error:
        raise SetupFailed(f"The answering workflow in n8n does not answer: {error.message}") from error


def fetch_workflow(target: N8nTarget, name: str) -> dict[str, Any]:
    """Return a workflow as n8n has it; raises `SetupFailed` when there is none of that name."""
    with open_api(target) as api:
        workflow = find_workflow(api, name)
    if workflow is None:
        raise SetupFailed(f"n8n has no workflow '{name}'.")
    return workflow


def _require_taken(answer: httpx.Response) -> None:
    try:
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise SetupFailed(
                "The answering workflow is kept as you left it, and is not published: publish it in n8n's editor, or "
                "archive it and provision it again to get the shipped one."
            ) from error
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise SetupFailed(
                "The answering workflow refuses WEBHOOK_API_KEY: give its first node the credential "
                "`Ragline webhook key`, and publish it."
            ) from error
        raise


def _credentials(target: N8nTarget, api: httpx.Client) -> dict[str, str]:
    present = {(entry["name"], entry["type"]): entry["id"] for entry in pages(api, "/credentials")}
    ids: dict[str, str] = {}
    for name, (kind, data) in wanted_credentials(target).items():
        body = {"name": name, "type": kind, "data": data}
        known = present.get((name, kind))
        ids[name] = json_of(
            api.patch(f"/credentials/{known}", json=body) if known else api.post("/credentials", json=body)
        )["id"]
    return ids


def _prepare(path: Path, target: N8nTarget, credentials: dict[str, str]) -> dict[str, Any]:
    workflow: dict[str, Any] = json.loads(path.read_text().replace(SERVICE_ORIGIN, target.pipelines_url))
    for node in workflow["nodes"]:
        for credential in node.get("credentials", {}).values():
            if credential["name"] not in credentials:
                raise SetupFailed(f"{path.name} names the credential '{credential['name']}', which is not provisioned.")
            credential["id"] = credentials[credential["name"]]
    return workflow


def _await_published(target: N8nTarget, name: str, addresses: Iterable[Address]) -> None:
    retrying = Retrying(
        stop=stop_after_delay(PUBLISHED_S),
        wait=wait_fixed(0.1),
        retry=retry_if_result(lambda published: not published),
        retry_error_callback=lambda _: False,
    )
    for method, path in addresses:
        if not retrying(_is_published, method, f"{target.webhook_url}/{path}"):
            raise SetupFailed(
                f"n8n did not publish the workflow '{name}' within {PUBLISHED_S} s; look at the log of n8n."
            )


def _is_published(method: str, address: str) -> bool:
    # Without its key a published webhook answers 403 and a form 401, an unpublished one 404.
    body: dict[str, str] | None = {} if method == "POST" else None
    try:
        status = httpx.request(method, address, json=body, timeout=10).status_code
    except httpx.TransportError:  # a webhook process that is starting
        return False
    return status in (httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED)


@contextmanager
def _alone(key_file: Path) -> Iterator[None]:
    """Keep a second provisioning out while one is at work: both would create, and each would end the other's key."""
    try:
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = key_file.with_name("provision.lock").open("w")
    except OSError as error:
        raise SetupFailed(
            f"{key_file.parent} cannot be written ({error.strerror}): give the folder of N8N_API_KEY_FILE to the user "
            "that this runs as."
        ) from error
    with lock:
        _lock(lock)
        yield


def _lock(lock: TextIO) -> None:
    waiting = Retrying(
        stop=stop_after_delay(ALONE_S), wait=wait_fixed(0.5), retry=retry_if_exception_type(BlockingIOError)
    )
    try:
        waiting(fcntl.flock, lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except RetryError as error:
        raise SetupFailed("Another provisioning of this stack is at work: wait for it to end.") from error
