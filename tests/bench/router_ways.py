"""The ways to one mock model that `make bench-router` compares: the model alone, Ragline's router, LiteLLM's proxy.

Each is a process of its own, so that its processor time, memory and descriptors are its own; the two routers have one
process each and ask the same mock by OpenAI's protocol.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from pipelines.settings import inherited_environment
from tests.bench.child import CHECKOUT, BrokenRun, running_child
from tests.bench.load import Target
from tests.bench.router_results import ALONE, OURS, THEIRS

KEY = "bench-router-key"
START_S = 120
LITELLM_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # its prices come from its own package, not from the network
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_DOCS": "True",
    "DISABLE_ADMIN_UI": "True",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the model: where it is asked, and the process that is looked at (None: nothing between).

    `prefix` stands before a model's name there.
    """

    name: str
    url: str
    process: psutil.Process | None
    prefix: str = ""

    def target(self, model: str) -> Target:
        """The way as the load generator asks it, with the prompt of an ordinary question."""
        prompt = "\n".join(f"Passage {number}: {'the handbook says what is paid ' * 12}" for number in range(1, 7))
        messages = [{"role": "system", "content": "Answer from the passages."}, {"role": "user", "content": prompt}]
        body = {
            "model": self.prefix + model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return Target(
            name=self.name,
            url=self.url,
            body=lambda _: body,
            headers={"Authorization": f"Bearer {KEY}"},
            first_token=_has_text,
            last=lambda line: line.startswith(b"data: [DONE]"),
        )


@contextmanager
def running_ways(state: Path, models: Sequence[str]) -> Iterator[tuple[Way, Way, Way]]:
    """The model alone, Ragline's router and LiteLLM's proxy over it, all running."""
    with _mock() as mock, _ragline(mock) as ragline, _litellm(state, mock, models) as litellm:
        yield Way(ALONE, f"{mock}/v1/chat/completions", None), ragline, litellm


def _has_text(line: bytes) -> bool:
    start = line.find(b'"content":"')
    return start >= 0 and line[start + 11 : start + 12] != b'"'


@contextmanager
def _mock() -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "tests.models", "--port", str(port)]
    with _running(command, {}) as process:
        _await(f"http://127.0.0.1:{port}/v1/models", process)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _ragline(mock: str) -> Iterator[Way]:
    with running_child("tests.bench.router_serve", {"model_url": f"{mock}/v1", "key": KEY}) as process:
        assert process.stdout
        port = json.loads(process.stdout.readline())["port"]
        url = f"http://127.0.0.1:{port}/llm/v1/chat/completions"
        yield Way(OURS, url, psutil.Process(process.pid), prefix="openai/")


@contextmanager
def _litellm(state: Path, mock: str, models: Sequence[str]) -> Iterator[Way]:
    port = _free_port()
    config = state / "bench" / "litellm.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(_litellm_config(mock, models)))  # JSON is YAML
    environment = state / "env" / "litellm" / "bin"
    command = [str(environment / "litellm"), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    with _running([*command, "--telemetry", "False"], LITELLM_ENVIRONMENT) as process:
        _await(f"http://127.0.0.1:{port}/health/liveliness", process)
        yield Way(THEIRS, f"http://127.0.0.1:{port}/v1/chat/completions", psutil.Process(process.pid))


def _litellm_config(mock: str, models: Sequence[str]) -> dict[str, object]:
    served = [
        {
            "model_name": model,
            "litellm_params": {"model": f"openai/{model}", "api_base": f"{mock}/v1", "api_key": "none"},
        }
        for model in models
    ]
    settings = {"set_verbose": False, "request_timeout": 600, "num_retries": 0, "drop_params": True}
    return {"model_list": served, "litellm_settings": settings, "general_settings": {"master_key": KEY}}


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env={**inherited_environment(), **environment},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise BrokenRun(f"{url} did not answer; its log is above.")


def _free_port() -> int:
    with socket.socket() as looking:
        looking.bind(("127.0.0.1", 0))
        port: int = looking.getsockname()[1]
        return port
