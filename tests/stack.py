"""A whole real stack for tests and benchmarks: its own state and ports, the installed parts, and the model server.

Nothing is a stand-in but the models themselves: `tests/models` speaks Ollama's protocol and `tests/fakes/aws_models`
that of AWS, both with delays named in the model's name.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from pipelines.client import DocumentsClient
from pipelines.domain import Grant
from pipelines.ingest.add_paths import add_paths
from pipelines.native.down import down
from pipelines.native.postgres import server_url
from pipelines.native.status import PartStatus, status
from pipelines.native.up import up
from pipelines.provision.open_webui import OpenWebUI
from pipelines.provision.run import fingerprint, open_webui_admin, provision
from pipelines.settings import StackSettings
from tests.model_processes import AWS_REGION, ModelProcess, keys_of_aws, running_process

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
LATE = "mock-ttft20000-itl0-len5"
"""Twenty seconds to the first word."""
MODELS = (FAST, SLOW, VERY_SLOW, LATE, BREAKS, REFUSES, MISCITES)

BEDROCK = "us.amazon.nova-lite-v1:0"
BEDROCK_SLOW = "mock-ttft100-itl60-len60"
BEDROCK_REFUSES = tuple(f"mock-ttft0-itl0-len9-err-{how}" for how in ("throttled", "invalid"))
BEDROCK_BREAKS = "mock-ttft50-itl20-len50-err5-internal"
BEDROCK_MODELS = (BEDROCK_SLOW, *BEDROCK_REFUSES, BEDROCK_BREAKS)

CHOICES = ",".join([*(f"ollama/{model}" for model in MODELS), "extractive/quotes"])

WITH_BEDROCK = {
    "aws_region": AWS_REGION,
    "bedrock_model": BEDROCK,
    "llm_choices": ",".join([CHOICES, *(f"bedrock/{model}" for model in BEDROCK_MODELS)]),
}
"""Settings of a stack that Bedrock is set up for too."""


def choice(model: str, provider: str = "ollama") -> str:
    """The id under which a model of a server of models is offered."""
    return f"{MODEL}:{provider}/{model}"


@dataclass(frozen=True)
class Stack:
    """A running stack and the ways tests look into it."""

    settings: StackSettings
    models: ModelProcess
    aws: ModelProcess

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
        return self.models.stats()

    def reset_models(self) -> None:
        self.models.reset()

    @contextmanager
    def switched(self, **changes: Any) -> Iterator[float]:
        """The same stack with other settings, as a second `make up` brings them in; yields the seconds it took."""
        began = time.monotonic()
        try:
            _bring_up(self.settings.model_copy(update=changes))
            yield time.monotonic() - began
        finally:
            _bring_up(self.settings)

    def part(self, name: str) -> PartStatus:
        """How a part is doing."""
        return next(part for part in status(self.settings) if part.name == name)


@contextmanager
def running_stack(state: Path, *, first_port: int, **overrides: Any) -> Iterator[Stack]:
    """Start a stack whose data is in `state`, on ports from `first_port` on, and stop it at the end."""
    settings = _settings(state, first_port, models_port=first_port + 9, overrides=overrides)
    state.mkdir(parents=True, exist_ok=True)
    for shared in ("env", "models"):
        (INSTALLED.parent / shared).mkdir(exist_ok=True)
        if not (state / shared).exists():
            (state / shared).symlink_to(INSTALLED.parent / shared)
    with (
        running_process("tests.models", first_port + 9) as models,
        running_process("tests.fakes.aws_models", first_port + 8) as aws,
        keys_of_aws(aws.url),
    ):
        try:
            models.start()
            if settings.bedrock_model:
                aws.start()
            _bring_up(settings)
            stack = Stack(settings, models, aws)
            try:
                yield stack
            finally:
                stack.close()
        finally:
            down(settings.state_dir, _console())


def _bring_up(settings: StackSettings) -> None:
    up(settings, _console(), provision=lambda: _provision(settings), fingerprint=fingerprint(settings))


def _console() -> Console:
    return Console(file=sys.__stderr__, force_terminal=False)


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
        "llm_choices": CHOICES,
        "llm_fallback": "",
        # tests and benchmarks ask the same again and mean the model
        "answer_cache_mb": 0,
    }
    return StackSettings(_env_file=None, **(values | overrides))
