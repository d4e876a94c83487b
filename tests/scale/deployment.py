"""A pipelines that is really served, the processes beside it, and the ways tests look into it."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from pipelines.client import DocumentsClient
from pipelines.settings import Settings, inherited_environment
from tests.unit.native.parts_for_tests import free_port

STATE = Path(sys.prefix).parents[1]
"""Where `make` has put the environments and the models."""
RAGLINE = Path(sys.prefix) / "bin" / "ragline"
START_S = 60


@dataclass(frozen=True, slots=True)
class Deployment:
    """Settings that every process of it is started with, in a folder of its own."""

    settings: Settings
    folder: Path
    environment: Mapping[str, str]

    @contextmanager
    def started(self, *command: str, **overrides: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `ragline` until the block ends; what it says goes to a file in the folder."""
        with (self.folder / f"{command[0]}-{secrets.token_hex(3)}.log").open("wb") as log:
            process = subprocess.Popen(
                [RAGLINE, *command],
                cwd=self.folder,
                env={**self.environment, **overrides},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(20)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run pipelines until the block ends."""
        with self.started("serve") as process:
            for attempt in _until(httpx.TransportError, stop_s=START_S):
                with attempt:
                    assert process.poll() is None, self.said()
                    httpx.get(f"{self.settings.pipelines_url}/health").raise_for_status()
            yield

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `ragline` to its end."""
        return subprocess.run(
            [RAGLINE, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def documents(self) -> DocumentsClient:
        return DocumentsClient(self.settings.pipelines_url, key=self._key)

    def index(self) -> tuple[dict[str, int], int]:
        """How many chunks each published document has, by origin, and how many chunks there are in all."""
        found = self._call("GET", "/index/g1/documents")
        return {each["document"]["origin"]: each["chunks"] for each in found["documents"]}, found["chunks"]

    def found(self, question: str) -> str:
        """The title of the document that answers best; "" when none does."""
        passages = self._call("POST", "/retrieve", json={"question": question})["passages"]
        return str(passages[0]["title"]) if passages else ""

    def until_found(self, question: str, title: str, *, within_s: float) -> None:
        """Return once the document of that title answers best."""
        for attempt in _until(AssertionError, stop_s=within_s):
            with attempt:
                assert self.found(question) == title, self.said()

    def until_indexed(self, origins: Sequence[str], *, within_s: float) -> None:
        """Return once exactly these documents are published and nothing is left to be done."""
        for attempt in _until(AssertionError, stop_s=within_s):
            with attempt, self.documents() as documents:
                assert sorted(self.index()[0]) == sorted(origins), self.said()
                counts = {state: count for state, count in documents.counts().items() if count}
                assert counts == {"ready": len(origins)}, self.said()

    def said(self) -> str:
        """What the processes have said last."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log")))

    @property
    def _key(self) -> str:
        return self.settings.internal_api_key.get_secret_value()

    def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        url = f"{self.settings.pipelines_url}{path}"
        response = httpx.request(method, url, headers={"X-Ragline-Key": self._key}, timeout=30, **kwargs)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def make_deployment(folder: Path, registry_url: str, *, aws_url: str = "", **overrides: Any) -> Deployment:
    """Settings for one in `folder`, with the models that are installed already; nothing is started."""
    state = folder / "state"
    state.mkdir()
    (STATE / "models").mkdir(exist_ok=True)
    (state / "models").symlink_to(STATE / "models")
    names = ("gateway_api_key", "internal_api_key", "identity_secret", "webhook_api_key")
    values: dict[str, Any] = {
        **{name: secrets.token_urlsafe(24) for name in names},
        "pipelines_port": free_port(),
        "state_dir": state,
        "registry_url": registry_url,
        "default_access": "everyone",
        "llm_provider": "extractive",
        "s3_endpoint_url": aws_url,
        "s3_access_key_id": "test" if aws_url else "",
        "s3_secret_access_key": "test" if aws_url else "",
        "aws_region": "eu-central-1",
        **overrides,
    }
    settings = Settings(_env_file=None, **values)
    aws = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL_SQS": aws_url}
    # Ray keeps a token in the home of whoever starts it.
    own = {"HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    environment = {**inherited_environment(), **settings.environment(), **(aws if aws_url else {}), **own}
    return Deployment(settings, folder, environment)


def _until(error: type[Exception], *, stop_s: float) -> Retrying:
    return Retrying(
        stop=stop_after_delay(stop_s), wait=wait_fixed(0.1), retry=retry_if_exception_type(error), reraise=True
    )
