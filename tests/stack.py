"""A whole real stack for tests and benchmarks: its own state and ports, the installed parts, and the model server.

Nothing is a stand-in but the model itself: `tests/models` speaks Ollama's protocol with delays named in the model's
name.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.console import Console
from tenacity import Retrying, stop_after_delay, wait_fixed

from pipelines.client import DocumentsClient
from pipelines.domain import Grant
from pipelines.ingest.add_paths import add_paths
from pipelines.native.down import down
from pipelines.native.postgres import server_url
from pipelines.native.status import PartStatus, status
from pipelines.native.up import up
from pipelines.provision.open_webui import OpenWebUI
from pipelines.provision.run import open_webui_admin, provision
from pipelines.settings import StackSettings

CHECKOUT = Path(__file__).parents[1]
DOCUMENTS = CHECKOUT / "tests" / "documents"
HANDBOOK = DOCUMENTS / "handbook"
INSTALLED = Path(sys.prefix).parent
"""Where `make` has put the environments; a test stack shares them with the one people use."""

MODEL = "company-documents"
FAST = "mock-ttft50-itl10-len50"
SLOW = "mock-ttft400-itl60-len60"
"""Four seconds from the first word to the last."""
VERY_SLOW = "mock-ttft300-itl100-len600"
BREAKS = "mock-ttft50-itl20-len50-fail5"
REFUSES = "mock-ttft0-itl0-len10-err"
MISCITES = "mock-say50-It-is-28-days-[1]-or-30-[99]-a-year-[Source-1][98]."
"""Cites passages that it was not given."""
MODELS = (FAST, SLOW, VERY_SLOW, BREAKS, REFUSES, MISCITES)


def choice(model: str) -> str:
    """The id under which a model of the model server is offered."""
    return f"{MODEL}:ollama/{model}"


@dataclass(frozen=True)
class Stack:
    """A running stack and the ways tests look into it."""

    settings: StackSettings
    models_url: str

    @contextmanager
    def admin(self) -> Iterator[OpenWebUI]:
        """Open WebUI's administrator, signed in once: it lets an account sign in 15 times in three minutes."""
        yield self._admin

    @cached_property
    def _admin(self) -> OpenWebUI:
        return open_webui_admin(self.settings).__enter__()

    def close(self) -> None:
        """Release what was opened to look into the stack."""
        if "_admin" in self.__dict__:
            self._admin.__exit__()

    def reader(self, name: str, *, group: str | None = None) -> OpenWebUI:
        """A reader's account, created at need, in `group` if one is named."""
        email = f"{name}@example.org"
        with self.admin() as admin:
            user = admin.put_user(name=name.capitalize(), email=email, password=self.reader_password)
            if group:
                admin.add_member(admin.add_group(group), user)
        return OpenWebUI(self.settings.open_webui_url, email=email, password=self.reader_password, timeout_s=60)

    @cached_property
    def reader_password(self) -> str:
        return secrets.token_urlsafe(12)

    def add(self, paths: Sequence[Path], *, group: str | None = None) -> list[str]:
        """Put documents in and return what was said about those that were not taken."""
        grant = Grant(groups=(group,)) if group else Grant(everyone=True)
        with self.admin() as admin, self.documents() as documents:
            if group:
                admin.add_group(group)
                documents.set_groups(admin.group_ids())
            return [step.problem for step in add_paths(documents, paths, grant=grant) if step.problem]

    def documents(self) -> DocumentsClient:
        return DocumentsClient(self.settings.pipelines_url, key=self.settings.internal_api_key.get_secret_value())

    def executions(self) -> int:
        """How many runs n8n has begun since its database was made."""
        with psycopg.connect(server_url(self.settings).of("n8n")) as connection:
            row = connection.execute("SELECT last_value, is_called FROM execution_entity_id_seq").fetchone()
        assert row is not None
        return int(row[0]) if row[1] else 0

    def model_stats(self) -> dict[str, Any]:
        """What the model server saw since `reset_models`."""
        stats: dict[str, Any] = httpx.get(f"{self.models_url}/mock/stats").json()
        return stats

    def reset_models(self) -> None:
        httpx.post(f"{self.models_url}/mock/reset").raise_for_status()

    def part(self, name: str) -> PartStatus:
        """How a part is doing."""
        return next(part for part in status(self.settings) if part.name == name)


@contextmanager
def running_stack(state: Path, *, first_port: int, **overrides: Any) -> Iterator[Stack]:
    """Start a stack whose data is in `state`, on ports from `first_port` on, and stop it at the end."""
    models_port = first_port + 9
    settings = _settings(state, first_port, models_port, overrides)
    state.mkdir(parents=True, exist_ok=True)
    for shared in ("env", "models"):
        (INSTALLED.parent / shared).mkdir(exist_ok=True)
        if not (state / shared).exists():
            (state / shared).symlink_to(INSTALLED.parent / shared)
    console = Console(file=sys.__stderr__, force_terminal=False)
    with _model_server(models_port) as models_url:
        try:
            up(settings, console, provision=lambda: _provision(settings))
            stack = Stack(settings, models_url)
            try:
                yield stack
            finally:
                stack.close()
        finally:
            down(settings.state_dir, console)


def _provision(settings: StackSettings) -> None:
    provision(settings)


def _settings(state: Path, first_port: int, models_port: int, overrides: dict[str, Any]) -> StackSettings:
    generated = {
        name: secrets.token_urlsafe(32) for name, field in StackSettings.model_fields.items() if field.is_required()
    }
    generated["default_access"] = "everyone"
    values: dict[str, Any] = {
        **generated,
        "client_api_key": secrets.token_urlsafe(32),
        "state_dir": state,
        "workflows_dir": CHECKOUT / "workflows",
        "open_webui_port": first_port,
        "n8n_port": first_port + 1,
        "n8n_broker_port": first_port + 2,
        "pipelines_port": first_port + 3,
        "postgres_port": first_port + 4,
        "ollama_base_url": f"http://127.0.0.1:{models_port}",
        "ollama_num_parallel": 64,
        "llm_provider": "ollama",
        "llm_model": FAST,
        "llm_choices": ",".join([*(f"ollama/{model}" for model in MODELS), "extractive/quotes"]),
        "llm_fallback": "",
    }
    return StackSettings(_env_file=None, **(values | overrides))


@contextmanager
def _model_server(port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.models", "--port", str(port)]
    process = subprocess.Popen(command, cwd=CHECKOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for attempt in Retrying(stop=stop_after_delay(15), wait=wait_fixed(0.1), reraise=True):
            with attempt:
                httpx.get(f"{url}/api/version").raise_for_status()
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
