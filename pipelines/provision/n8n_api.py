"""n8n's public API as provisioning uses it: calls go in, JSON or one sentence comes out.

n8n has no setting that creates a key for it: one is made as its editor makes it, signed in as the owner (n8n 2.40).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from pipelines.errors import SetupFailed
from pipelines.provision.n8n_target import N8nTarget

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
_UNKNOWN_KEY = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


@contextmanager
def open_api(target: N8nTarget) -> Iterator[httpx.Client]:
    """A client of n8n's API with a key that works; raises `SetupFailed`, also for what the block asks in vain."""
    with translated(), httpx.Client(base_url=f"{target.url}/api/v1", timeout=30) as api:
        api.headers["X-N8N-API-KEY"] = _api_key(target, api)
        yield api


@contextmanager
def translated() -> Iterator[None]:
    """Raise `SetupFailed` where n8n does not answer."""
    try:
        yield
    except httpx.HTTPError as error:
        raise SetupFailed(f"n8n could not be set up ({error}); look at the log of n8n.") from error


def json_of(response: httpx.Response) -> dict[str, Any]:
    """What n8n answered; raises `SetupFailed` when it refused."""
    call = f"{response.request.method} {response.request.url.path}"
    if not response.is_success:
        raise SetupFailed(f"n8n refused {call} with status {response.status_code}: {response.text[:300]}")
    try:
        body: dict[str, Any] = response.json()
    except ValueError as error:  # every route says so in plain words while n8n migrates its database
        raise SetupFailed(f"n8n answered {call} with no JSON: it is still starting; provision it again.") from error
    return body


def pages(api: httpx.Client, path: str, **params: str) -> Iterator[dict[str, Any]]:
    """Every entry of a list."""
    cursor: str | None = None
    while True:
        page = json_of(api.get(path, params={**params, "limit": "100", **({"cursor": cursor} if cursor else {})}))
        yield from page["data"]
        cursor = page.get("nextCursor")
        if not cursor:
            return


def _api_key(target: N8nTarget, api: httpx.Client) -> str:
    key = target.api_key_file.read_text().strip() if target.api_key_file.exists() else ""
    if key:
        answer = api.get("/workflows", params={"limit": 1}, headers={"X-N8N-API-KEY": key})
        if answer.status_code not in _UNKNOWN_KEY:
            json_of(answer)
            return key
    with httpx.Client(base_url=f"{target.url}/rest", headers={"browser-id": "ragline"}, timeout=30) as editor:
        _sign_in(editor, target)
        for old in json_of(editor.get("/api-keys"))["data"]["items"]:
            if old["label"] == API_KEY_LABEL:
                json_of(editor.delete(f"/api-keys/{old['id']}"))
        made = editor.post("/api-keys", json={"label": API_KEY_LABEL, "expiresAt": None, "scopes": API_KEY_SCOPES})
        key = str(json_of(made)["data"]["rawApiKey"])
    _write_secret(target.api_key_file, key)
    return key


def _sign_in(editor: httpx.Client, target: N8nTarget) -> None:
    login = {"emailOrLdapLoginId": target.owner_email, "password": target.owner_password}
    answer = editor.post("/login", json=login)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise SetupFailed(
            "n8n does not know its owner by N8N_OWNER_EMAIL and N8N_OWNER_PASSWORD: after a change of them in .env "
            "start n8n anew, for it reads them at its start."
        )
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise SetupFailed("n8n was signed in to too often just now: provision it again in five minutes.")
    json_of(answer)
    # Behind TLS n8n marks its cookie Secure, and a client does not show such a one over HTTP, as it is spoken inside.
    editor.headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in answer.cookies.jar)


def _write_secret(path: Path, secret: str) -> None:
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(secret)
        fresh.replace(path)
    except OSError as error:
        raise SetupFailed(
            f"The key for n8n cannot be kept in {path} ({error.strerror}): give its folder to the user that this runs "
            "as, or set N8N_API_KEY_FILE."
        ) from error
