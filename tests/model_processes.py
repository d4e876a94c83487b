"""The servers of models as processes of their own, which a test can kill and start again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from pipelines.settings import AWS_CHAIN

CHECKOUT = Path(__file__).parents[1]
AWS_REGION = "us-east-1"
AWS_SERVICES = ("BEDROCK", "BEDROCK_RUNTIME", "SAGEMAKER", "SAGEMAKER_RUNTIME")


@dataclass
class ModelProcess:
    """A server of models on a port; `module` is what Python runs."""

    module: str
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, if it does not run, and return when it answers."""
        if self._process is None:
            command = [sys.executable, "-m", self.module, "--port", str(self.port)]
            self._process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
        unreachable = retry_if_exception_type(httpx.TransportError)
        for attempt in Retrying(stop=stop_after_delay(15), wait=wait_fixed(0.1), retry=unreachable, reraise=True):
            with attempt:
                self.stats()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def stats(self) -> dict[str, Any]:
        """What it saw since `reset`."""
        stats: dict[str, Any] = httpx.get(f"{self.url}/mock/stats").raise_for_status().json()
        return stats

    def reset(self) -> None:
        httpx.post(f"{self.url}/mock/reset").raise_for_status()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=10)
            self._process = None


@contextmanager
def running_process(module: str, port: int) -> Iterator[ModelProcess]:
    """A server of models, not started yet, that is ended at last however often a test has killed it."""
    process = ModelProcess(module, port)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def keys_of_aws(url: str) -> Iterator[None]:
    """An operator's shell: ordinary keys, and nothing else of AWS than the server at `url`."""
    with pytest.MonkeyPatch.context() as shell:
        for name in AWS_CHAIN:
            shell.delenv(name, raising=False)
        shell.setenv("AWS_ACCESS_KEY_ID", "test")
        shell.setenv("AWS_SECRET_ACCESS_KEY", "test")
        shell.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for service in AWS_SERVICES:
            shell.setenv(f"AWS_ENDPOINT_URL_{service}", url)
        yield
