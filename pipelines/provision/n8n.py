"""Puts credentials and workflows into n8n and publishes them: run at every start, changes only what differs.

What was put in is remembered by n8n itself: every version published here is named `Ragline <hash of its content>`.
A workflow whose current version has another name was edited by an operator; it is kept as it is, and a newer shipped
version is put beside it, unpublished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pipelines.answer.workflow import StreamParser
from pipelines.errors import SetupFailed, Unavailable
from pipelines.provision.n8n_credentials import wanted_credentials
from pipelines.provision.n8n_target import N8nTarget

SERVICE_ORIGIN = "http://pipelines:8000"
"""How the files in `workflows/` call pipelines; replaced by where it is in this deployment."""

VERSION_PREFIX = "Ragline "
BESIDE_SUFFIX = " (shipped with Ragline)"
API_KEY_LABEL = "Ragline"
API_KEY_SCOPES = (
    "credential:create",
    "credential:list",
    "credential:read",
    "credential:update",
    "execution:list",
    "execution:read",
    "execution:stop",
    "workflow:activate",
    "workflow:create",
    "workflow:list",
    "workflow:read",
    "workflow:update",
)

Outcome = Literal["created", "updated", "unchanged", "kept your edited version", "kept yours, newer put beside it"]


def provision_n8n(target: N8nTarget, workflows: list[Path]) -> dict[str, Outcome]:
    """Bring n8n to the state of `workflows` and return what was done with each, once their webhooks answer.

    Raises:
        SetupFailed: n8n refused, or a webhook did not answer within half a minute; says what to do.
    """
    with _translated(), httpx.Client(base_url=f"{target.url}/api/v1", timeout=30) as api:
        api.headers["X-N8N-API-KEY"] = _api_key(target, api)
        credentials = _credentials(target, api)
        outcomes = {path.stem: _workflow(api, _prepare(path, target, credentials)) for path in workflows}
        for path in workflows:
            _await_webhooks(target.url, path)
    return outcomes


def try_workflow(target: N8nTarget, path: str) -> None:
    """Have the answering workflow answer once with quotes, which costs no model call; raises `SetupFailed` if it fails.

    It proves the way through n8n, and the first reader does not wait while n8n loads its nodes (2 s).
    """
    quotes = {"provider": "extractive", "provider_model": "quotes"}
    body = {"question": "Ready?", **quotes, "ask": {"model": "extractive/quotes", "request_id": uuid4().hex}}
    parser = StreamParser()
    try:
        with (
            _translated(),
            httpx.stream(
                "POST",
                f"{target.url}/webhook/{path}",
                json=body,
                headers={"X-Ragline-Key": target.webhook_key},
                timeout=60,
            ) as answer,
        ):
            answer.raise_for_status()
            for data in answer.iter_bytes():
                list(parser.feed(data))
        list(parser.finish())
    except Unavailable as error:
        raise SetupFailed(f"The answering workflow in n8n does not answer: {error.message}") from error


def fetch_workflow(target: N8nTarget, name: str) -> dict[str, Any]:
    """Return a workflow as n8n has it; raises `SetupFailed` when there is none of that name."""
    with _translated(), httpx.Client(base_url=f"{target.url}/api/v1", timeout=30) as api:
        api.headers["X-N8N-API-KEY"] = _api_key(target, api)
        workflow = _find(api, name)
    if workflow is None:
        raise SetupFailed(f"n8n has no workflow '{name}'.")
    return workflow


def _api_key(target: N8nTarget, api: httpx.Client) -> str:
    if target.api_key_file.exists():
        key = target.api_key_file.read_text().strip()
        if key and api.get("/workflows", params={"limit": 1}, headers={"X-N8N-API-KEY": key}).is_success:
            return key
    # n8n has no setting that creates a key: sign in as its owner, as its editor does (n8n 2.40).
    with httpx.Client(base_url=f"{target.url}/rest", headers={"browser-id": "ragline"}, timeout=30) as editor:
        login = {"emailOrLdapLoginId": target.owner_email, "password": target.owner_password}
        if editor.post("/login", json=login).status_code == httpx.codes.UNAUTHORIZED:
            raise SetupFailed("n8n does not know its owner by N8N_OWNER_EMAIL and N8N_OWNER_PASSWORD; check .env.")
        for old in _data(editor.get("/api-keys"))["items"]:
            if old["label"] == API_KEY_LABEL:
                _data(editor.delete(f"/api-keys/{old['id']}"))
        made = editor.post("/api-keys", json={"label": API_KEY_LABEL, "expiresAt": None, "scopes": API_KEY_SCOPES})
        key = str(_data(made)["rawApiKey"])
    _write_secret(target.api_key_file, key)
    return key


def _write_secret(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(secret)
    fresh.replace(path)


def _credentials(target: N8nTarget, api: httpx.Client) -> dict[str, str]:
    present = {entry["name"]: entry["id"] for entry in _pages(api, "/credentials")}
    ids: dict[str, str] = {}
    for name, (kind, data) in wanted_credentials(target).items():
        body = {"name": name, "type": kind, "data": data}
        if name in present:
            response = api.patch(f"/credentials/{present[name]}", json=body)
        else:
            response = api.post("/credentials", json=body)
        ids[name] = _json(response)["id"]
    return ids


def _prepare(path: Path, target: N8nTarget, credentials: dict[str, str]) -> dict[str, Any]:
    workflow: dict[str, Any] = json.loads(path.read_text().replace(SERVICE_ORIGIN, target.pipelines_url))
    for node in workflow["nodes"]:
        for credential in node.get("credentials", {}).values():
            if credential["name"] not in credentials:
                raise SetupFailed(f"{path.name} names the credential '{credential['name']}', which is not provisioned.")
            credential["id"] = credentials[credential["name"]]
    return workflow


def _workflow(api: httpx.Client, shipped: dict[str, Any]) -> Outcome:
    version = VERSION_PREFIX + sha256(json.dumps(shipped, sort_keys=True).encode()).hexdigest()[:16]
    present = _find(api, shipped["name"])
    if present is None:
        _publish(api, _json(api.post("/workflows", json=shipped)), version)
        return "created"
    names = {entry["versionId"]: entry["name"] for entry in _pages(api, f"/workflows/{present['id']}/history")}
    current = names.get(present["versionId"]) or ""
    if current == version:
        if present["activeVersionId"] != present["versionId"]:
            _publish(api, present, version)
        return "unchanged"
    if current.startswith(VERSION_PREFIX):
        _publish(api, _json(api.put(f"/workflows/{present['id']}", json=shipped)), version)
        return "updated"
    if version in names.values():
        return "kept your edited version"
    _put_beside(api, shipped)
    return "kept yours, newer put beside it"


def _put_beside(api: httpx.Client, shipped: dict[str, Any]) -> None:
    beside = {**shipped, "name": shipped["name"] + BESIDE_SUFFIX}
    present = _find(api, beside["name"])
    _json(api.put(f"/workflows/{present['id']}", json=beside) if present else api.post("/workflows", json=beside))


def _find(api: httpx.Client, name: str) -> dict[str, Any] | None:
    # n8n matches parts of names.
    found = [entry for entry in _pages(api, "/workflows", name=name) if entry["name"] == name]
    live = [entry for entry in found if not entry["isArchived"]]
    return live[0] if live else None


def _publish(api: httpx.Client, workflow: dict[str, Any], version: str) -> None:
    _json(api.post(f"/workflows/{workflow['id']}/publish", json={"name": version}))


def _await_webhooks(url: str, path: Path) -> None:
    for node in json.loads(path.read_text())["nodes"]:
        if node["type"] == "n8n-nodes-base.webhook":
            _await_published(path.stem, "POST", f"{url}/webhook/{node['parameters']['path']}")
        elif node["type"] == "n8n-nodes-base.formTrigger":
            _await_published(path.stem, "GET", f"{url}/form/{node['parameters']['options']['path']}")


def _await_published(name: str, method: str, address: str) -> None:
    retrying = Retrying(
        stop=stop_after_delay(30),
        wait=wait_fixed(0.1),
        retry=retry_if_result(lambda published: not published),
        retry_error_callback=lambda _: False,
    )
    if not retrying(_is_published, method, address):
        raise SetupFailed(f"n8n did not publish the workflow '{name}' within 30 s; look at `make logs PART=n8n`.")


def _is_published(method: str, address: str) -> bool:
    # Without its key a published webhook answers 403 and a form 401, an unpublished one 404; publishing takes effect
    # within seconds.
    body: dict[str, str] | None = {} if method == "POST" else None
    status = httpx.request(method, address, json=body, timeout=10).status_code
    return status in (httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED)


def _pages(api: httpx.Client, path: str, **params: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = _json(api.get(path, params={**params, "limit": "100", **({"cursor": cursor} if cursor else {})}))
        yield from page["data"]
        cursor = page.get("nextCursor")
        if not cursor:
            return


def _data(response: httpx.Response) -> dict[str, Any]:
    data: dict[str, Any] = _json(response)["data"]
    return data


def _json(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        call = f"{response.request.method} {response.request.url.path}"
        raise SetupFailed(f"n8n refused {call} with status {response.status_code}: {response.text[:300]}")
    body: dict[str, Any] = response.json()
    return body


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise SetupFailed(f"n8n could not be set up ({error}); look at `make logs PART=n8n`.") from error
