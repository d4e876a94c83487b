"""`make demo`: sample documents go in, three questions and a follow-up are asked through Open WebUI's own API.

It signs in as an ordinary reader, prints each answer as it streams, its citations, who gave it, for how many tokens
and how much, and where the time went.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.answer.generate.model_names import spoken
from pipelines.answer.offer import DEFAULT_ID
from pipelines.client import DocumentsClient
from pipelines.domain import Grant
from pipelines.errors import SetupFailed
from pipelines.ingest.add_paths import add_paths
from pipelines.provision.open_webui import OpenWebUI
from pipelines.provision.run import open_webui_admin
from pipelines.settings import StackSettings

COLUMNS = (
    ("Open WebUI", "open_webui_ms"),
    ("gateway", "gateway_ms"),
    ("n8n", "workflow_ms"),
    ("embed", "embed_ms"),
    ("search", "search_ms"),
    ("model", "model_ttft_ms"),
    ("first word", "first_token_ms"),
    ("whole", "total_ms"),
)
QUESTIONS = (
    "What is the measuring range of the Djupö 300-H?",
    "How much is paid for a complete week of on-call duty?",
    "What is the hotel limit per night in Rotterdam?",
    "And in Lisbon?",
)
HANDBOOK = Path(__file__).parents[1] / "tests" / "documents" / "handbook"
RESTRICTED_FOLDER = "people-team"
RESTRICTED_GROUP = "People team"
READER_NAME = "Demo reader"
READER_EMAIL = "reader@example.org"


@dataclass(slots=True)
class Heard:
    """What a reader's client got of one answer. Times in milliseconds from sending the question."""

    text: str = ""
    statuses: list[str] = field(default_factory=list)
    citations: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    first_token_ms: float = 0
    total_ms: float = 0

    def times(self) -> dict[str, float]:
        """Where the time went, by the names of `COLUMNS`."""
        timings: dict[str, float] = dict(self.usage.get("timings", {}))
        timings["open_webui_ms"] = max(0.0, self.first_token_ms - timings.get("ttft_ms", self.first_token_ms))
        return {**timings, "first_token_ms": self.first_token_ms, "total_ms": self.total_ms}


def ask(
    open_webui: OpenWebUI, messages: Sequence[dict[str, str]], *, model: str = DEFAULT_ID
) -> Iterator[tuple[str, Heard]]:
    """Ask and yield each piece of the answer with what has been heard so far; the last piece is empty."""
    heard = Heard()
    started = time.perf_counter()
    for line in open_webui.stream_chat({"model": model, "messages": list(messages), "stream": True}):
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        piece = _hear(json.loads(line[6:]), heard)
        if piece:
            heard.first_token_ms = heard.first_token_ms or _ms_since(started)
            heard.text += piece
            yield piece, heard
    heard.total_ms = _ms_since(started)
    yield "", heard


@contextmanager
def prepare_demo(settings: StackSettings, console: Console) -> Iterator[OpenWebUI]:
    """Add the sample handbook, one folder of it for one group only, and yield a signed-in reader outside that group."""
    password = _reader_password(settings.state_dir / "secrets" / "demo-reader")
    with open_webui_admin(settings) as admin:
        admin.put_user(name=READER_NAME, email=READER_EMAIL, password=password)
        admin.add_group(RESTRICTED_GROUP)
        groups = admin.group_ids()
    _add_handbook(settings, groups, console)
    with OpenWebUI(settings.open_webui_url, email=READER_EMAIL, password=password) as reader:
        asking = f"Asking as [bold]{READER_NAME}[/bold] ({READER_EMAIL}) in Open WebUI, model {DEFAULT_ID}"
        console.print(asking, soft_wrap=True)
        yield reader


def run_demo(open_webui: OpenWebUI, console: Console, questions: Sequence[str] = QUESTIONS) -> None:
    """Ask `questions` in order, one that starts with "And" as a follow-up; raises `SetupFailed` when one fails."""
    table = Table("", title="\nMilliseconds to the first word, and where they went", title_justify="left", box=None)
    for name, _ in COLUMNS:
        table.add_column(name, justify="right")
    history: list[dict[str, str]] = []
    for number, question in enumerate(questions, start=1):
        if not question.startswith("And"):
            history = []
        history.append({"role": "user", "content": question})
        heard = _tell(open_webui, history, console, f"{number}. {question}")
        history.append({"role": "assistant", "content": heard.text})
        times = heard.times()
        table.add_row(str(number), *(f"{times[key]:.0f}" if key in times else "-" for _, key in COLUMNS))
    console.print(table)


def _reader_password(file: Path) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text()


def _add_handbook(settings: StackSettings, groups: dict[str, str], console: Console) -> None:
    started = time.perf_counter()
    key = settings.internal_api_key.get_secret_value()
    with DocumentsClient(settings.pipelines_url, key=key) as documents, console.status("Reading the sample handbook"):
        open_paths = [path for path in sorted(HANDBOOK.iterdir()) if path.name != RESTRICTED_FOLDER]
        documents.set_groups(groups)
        steps = [
            *add_paths(documents, open_paths, grant=Grant(everyone=True)),
            *add_paths(documents, [HANDBOOK / RESTRICTED_FOLDER], grant=Grant(groups=(RESTRICTED_GROUP,))),
        ]
    ended = [step for step in steps if step.name]
    problems = [f"{step.name}: {step.problem}" for step in ended if step.problem]
    if problems:
        raise SetupFailed(f"The sample handbook could not be read: {'; '.join(problems)}")
    took = time.perf_counter() - started
    console.print(f"Added {len(ended)} documents of the sample handbook in {took:.1f} s", highlight=False)


def _tell(open_webui: OpenWebUI, messages: Sequence[dict[str, str]], console: Console, heading: str) -> Heard:
    console.print(f"\n[bold]{escape(heading)}[/bold]")
    heard = Heard()
    for piece, heard in ask(open_webui, messages):  # noqa: B007  the last value is what was heard in all
        console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
    console.print()
    if heard.error or not heard.text:
        raise SetupFailed(f"The demo's question was not answered: {heard.error or 'the stream was empty'}")
    for number, name in enumerate(heard.citations, start=1):
        if f"[{number}]" in heard.text:
            console.print(f"  [cyan]\\[{number}][/cyan] {escape(name)}", highlight=False)
    console.print(f"  {account(heard.usage)}", markup=False, highlight=False, soft_wrap=True)
    return heard


def account(usage: Mapping[str, Any]) -> str:
    """Who answered, in how many tokens and at what cost, in one line; `~` marks tokens that nobody counted."""
    said = [f"answered by {spoken(usage.get('answered_by', ''))}"]
    if "total_tokens" in usage:
        about = "~" if usage.get("estimated") else ""
        said.append(f"{about}{usage['prompt_tokens']} tokens read, {about}{usage['completion_tokens']} written")
    if "cost_usd" in usage:
        said.append(f"{usage['cost_usd']:.6f} USD")
    if usage.get("cached"):
        said.append("kept from an earlier question")
    return ", ".join(said)


def _hear(event: dict[str, Any], heard: Heard) -> str:
    if "event" in event:
        data = event["event"]["data"]
        if event["event"]["type"] == "status":
            heard.statuses.append(data["description"])
        else:
            heard.citations.append(data["source"]["name"])
        return ""
    if "error" in event:
        heard.error = str(event["error"].get("message", event["error"]))
        return ""
    heard.usage = event.get("usage") or heard.usage
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", []))


def _ms_since(moment: float) -> float:
    return round((time.perf_counter() - moment) * 1000, 1)
