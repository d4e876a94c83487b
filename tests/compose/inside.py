"""What a deployment keeps: its own parts are asked, from inside where they publish no port."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from pipelines.provision.open_webui import OpenWebUI
from tests.compose.deployment import Deployment
from tests.compose.docker import docker
from tests.e2e.test_uploads_in_open_webui import Desk

_PROGRAM = Path(__file__).with_name("programs") / "seen_inside.py"


@dataclass(frozen=True)
class Kept:
    """Everything that has to be there tomorrow. Two of them are equal when nothing was lost, changed or made twice."""

    documents: dict[str, str]
    """Origin → hash of its bytes."""
    vectors: dict[str, int]
    objects: dict[str, str]
    users: frozenset[str]
    chats: dict[str, Any]
    """Id → its messages."""
    functions: frozenset[str]
    workflows: dict[str, tuple[str, str]]
    """Id → its version, and the one that is published."""
    credentials: frozenset[str]


@dataclass(frozen=True)
class Inside:
    """One deployment, from within."""

    stack: Deployment
    admin: OpenWebUI
    reader: OpenWebUI

    def kept(self) -> Kept:
        """What there is now."""
        admin = Desk(f"{self.stack.open_webui_url}/api/v1", self.admin.token)
        reader = Desk(f"{self.stack.open_webui_url}/api/v1", self.reader.token)
        seen = self._see("all")
        chats = [chat["id"] for chat in reader.call("GET", "/chats/list")]
        return Kept(
            documents={origin: each["hash"] for origin, each in seen["documents"].items()},
            vectors=seen["vectors"],
            objects=seen["objects"],
            users=frozenset(user["id"] for user in admin.call("GET", "/users/")["users"]),
            chats={chat: reader.call("GET", f"/chats/{chat}")["chat"] for chat in chats},
            functions=frozenset(function["id"] for function in admin.call("GET", "/functions/")),
            workflows={each["id"]: (each["versionId"], each["activeVersionId"]) for each in self.workflows().values()},
            credentials=frozenset(each["id"] for each in self._n8n("/credentials")["data"]),
        )

    # --- documents ---------------------------------------------------------------------------------------------------

    def documents(self) -> dict[str, dict[str, str]]:
        """Every document's state, hash and id, by its origin."""
        found: dict[str, dict[str, str]] = self._see("documents")
        return found

    def add(self, name: str, content: str) -> str:
        """Put in a document for everyone; its origin comes back when it is queued."""
        return str(self._see("add", name, content=content))

    def sync(self) -> None:
        """Compare the folder with what is known, as n8n does every five minutes."""
        assert self._see("sync") == []

    def objects(self) -> dict[str, str]:
        """The object store's bucket: key → ETag, which is a hash of the bytes."""
        found: dict[str, str] = self._see("objects")
        return found

    # --- workflows ---------------------------------------------------------------------------------------------------

    def workflows(self) -> dict[str, dict[str, Any]]:
        """n8n's workflows by name."""
        return {workflow["name"]: workflow for workflow in self._n8n("/workflows")["data"]}

    def edit_workflow(self, name: str, note: str) -> None:
        """What an operator does in the editor: other words on a sticky note, saved and published."""
        workflow = self.workflows()[name]
        workflow["nodes"][0]["parameters"]["content"] = note
        body = {key: workflow[key] for key in ("name", "nodes", "connections", "settings")}
        self._n8n(f"/workflows/{workflow['id']}", "PUT", body)
        self._n8n(f"/workflows/{workflow['id']}/publish", "POST", {"name": "Edited by an operator"})

    def runs(self) -> int:
        """How many runs n8n has begun, of any workflow: the clock's look at the sources is one in five minutes."""
        return int(self.sql("n8n", "SELECT last_value FROM execution_entity_id_seq"))

    def sql(self, database: str, statement: str) -> str:
        """What PostgreSQL's own client prints."""
        command = 'PGPASSWORD="$POSTGRES_PASSWORD" exec psql -h 127.0.0.1 -U ragline -qtAd "$0" -c "$1"'
        return self.stack.exec("postgres", "sh", "-c", command, database, statement).strip()

    @cached_property
    def _key(self) -> str:
        return self.stack.exec("pipelines", "cat", "/provisioned/n8n-api-key")

    def _n8n(self, path: str, method: str = "GET", body: Any = None) -> Any:
        headers = {"X-N8N-API-KEY": self._key}
        answer = httpx.request(method, f"{self.stack.n8n_url}/api/v1{path}", json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    # --- from inside pipelines ---------------------------------------------------------------------------------------

    def models(self) -> dict[str, Any]:
        """What the stand-in of the model server has seen since it started."""
        seen: dict[str, Any] = self._see("get", "http://ollama:11434/mock/stats")
        return seen

    def _see(self, *command: str, content: str = "") -> Any:
        (container,) = self.stack.containers("pipelines")[:1]
        program = ("python", "-W", "ignore", "-c", _PROGRAM.read_text(), *command)
        return json.loads(docker("exec", "--interactive", container.id, *program, stdin=content))
