"""Talks to Open WebUI's own API: signs in, looks after users and groups, checks that our models are there.

Open WebUI itself is set up by its environment (`native/parts`, compose, task definitions); nothing is clicked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import httpx
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pipelines.errors import SetupFailed

SHOWN_S = 15
"""Open WebUI asks its connections for their models when it is asked, and keeps what it was told for a while."""


class OpenWebUI:
    """One signed-in account of Open WebUI. Use it as a context manager."""

    def __init__(self, url: str, *, email: str, password: str, timeout_s: float = 30) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=timeout_s)
        self._email = email
        self._password = password

    def __enter__(self) -> OpenWebUI:
        try:
            account = self._call("POST", "/api/v1/auths/signin", {"email": self._email, "password": self._password})
        except SetupFailed:
            self._http.close()
            raise
        self.user_id = str(account["id"])
        self.token = str(account["token"])
        self._http.headers["Authorization"] = f"Bearer {self.token}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def model_ids(self) -> list[str]:
        """The models this account may choose."""
        return [str(model["id"]) for model in self._call("GET", "/api/models")["data"]]

    def put_user(self, *, name: str, email: str, password: str) -> str:
        """Make sure there is a user with this e-mail address and password, and return the id (admin only)."""
        account = {"name": name, "email": email, "password": password, "role": "user"}
        for user in self._call("GET", "/api/v1/users/", params={"query": email})["users"]:
            if user["email"] == email:
                update = {**account, "profile_image_url": user["profile_image_url"]}
                self._call("POST", f"/api/v1/users/{user['id']}/update", update)
                return str(user["id"])
        return str(self._call("POST", "/api/v1/auths/add", account)["id"])

    def group_ids(self) -> dict[str, str]:
        """Every group's id by its name (admin only)."""
        return {str(group["name"]): str(group["id"]) for group in self._list("/api/v1/groups/")}

    def add_group(self, name: str) -> str:
        """Return the id of the group with this name, which is created if there is none (admin only)."""
        present = self.group_ids()
        if name in present:
            return present[name]
        body = {"name": name, "description": "", "permissions": {}}
        return str(self._call("POST", "/api/v1/groups/create", body)["id"])

    def add_member(self, group_id: str, user_id: str) -> None:
        """Put a user into a group (admin only)."""
        self._call("POST", f"/api/v1/groups/id/{group_id}/users/add", {"user_ids": [user_id]})

    def put_function(self, function_id: str, *, name: str, content: str) -> None:
        """Install one of our functions in its present version and switch it on for every model (admin only)."""
        form = {"id": function_id, "name": name, "content": content, "meta": {"description": name, "manifest": {}}}
        present = {function["id"]: function for function in self._list("/api/v1/functions/")}
        if function_id in present:
            function = self._call("POST", f"/api/v1/functions/id/{function_id}/update", form)
        else:
            function = self._call("POST", "/api/v1/functions/create", form)
        state = {"is_active": False, "is_global": False, **function, **present.get(function_id, {})}
        if not state["is_active"]:
            self._call("POST", f"/api/v1/functions/id/{function_id}/toggle")
        if not state["is_global"]:
            self._call("POST", f"/api/v1/functions/id/{function_id}/toggle/global")

    def stream_chat(self, body: dict[str, Any]) -> Iterator[str]:
        """Yield the lines of a streamed chat completion as they arrive; what the gateway sent, byte for byte."""
        with (
            _translated(),
            self._http.stream(
                "POST", "/api/chat/completions", json=body, timeout=httpx.Timeout(30, read=600)
            ) as response,
        ):
            if not response.is_success:
                response.read()
                raise _refused(response)
            yield from response.iter_lines()

    def _list(self, path: str) -> list[dict[str, Any]]:
        answer: Any = self._call("GET", path)
        return list(answer)

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, params: dict[str, str] | None = None
    ) -> dict[str, Any]:
        with _translated():
            response = self._http.request(method, path, json=body, params=params)
        if not response.is_success:
            raise _refused(response)
        answer: dict[str, Any] = response.json()
        return answer


def provision_open_webui(open_webui: OpenWebUI, model_id: str) -> None:
    """Install our functions and raise `SetupFailed` unless our model is shown, which proves the connection to us."""
    for file in sorted(files("pipelines.provision.open_webui_functions").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            name = file.name.removesuffix(".py")
            open_webui.put_function(name, name=name.replace("_", " ").capitalize(), content=file.read_text())
    shown = Retrying(
        stop=stop_after_delay(SHOWN_S),
        wait=wait_fixed(1),
        retry=retry_if_result(lambda ids: model_id not in ids),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else [],
    )
    if model_id not in shown(open_webui.model_ids):
        raise SetupFailed(
            f"Open WebUI does not show the model '{model_id}': its connection to pipelines fails; "
            "look at the log of Open WebUI."
        )


def _refused(response: httpx.Response) -> SetupFailed:
    call = f"{response.request.method} {response.request.url.path}"
    return SetupFailed(f"Open WebUI refused {call} with status {response.status_code}: {response.text[:300]}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise SetupFailed(f"Open WebUI does not answer ({error}); look at the log of Open WebUI.") from error
