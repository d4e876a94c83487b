"""compose/scale.yml: two of everything that readers wait for. All of them work, and each may die.

Needs 8 GB beside the shared stack, which is frozen meanwhile. Valkey and Caddy are Debian's; of Qdrant's three nodes
the first one keeps everything, so that nothing is shown here of its replication.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, expect

from pipelines.provision.n8n_credentials import FORM_USER
from pipelines.provision.open_webui import OpenWebUI
from tests.compose.asking import ask_once, asking, streamed
from tests.compose.conftest import QUESTION, SOURCE, first_cited_answer
from tests.compose.deployment import ONE_SHOTS, PATIENCE_S, Deployment, Images, deployed
from tests.compose.inside import Inside
from tests.compose.replicas import Tally, back, counted, kill, until
from tests.e2e.browser import ChatTab, new_window
from tests.e2e.test_upload_and_sync_workflows import LOCKER, send
from tests.e2e.test_uploads_in_open_webui import GATE, Desk
from tests.e2e.test_uploads_in_open_webui import QUESTION as GATE_QUESTION
from tests.stack import SLOW, VERY_SLOW, choice

pytestmark = pytest.mark.stack

TWICE = ("n8n-worker", "n8n-webhook", "pipelines", "pipelines-worker", "open-webui")
AT_ONCE = 12
BACK_S = 30
READ_S = 60
STOPPED_S = 5
TOLD_S = 30
"""The longest that a reader may look at half an answer whose n8n worker is gone."""


@dataclass(frozen=True)
class Scaled:
    """The stack, what is inside, and readers that share nothing: each is given to a replica of its own."""

    stack: Deployment
    inside: Inside
    readers: tuple[OpenWebUI, ...]

    def calls(self) -> int:
        """Answers in the ledger."""
        return int(self.inside.sql("ragline", "SELECT coalesce(sum(calls), 0) FROM ledger"))


@pytest.fixture(scope="module")
def scaled(request: pytest.FixtureRequest, images: Images, shared_stack_frozen: None) -> Iterator[Scaled]:
    project = f"{request.config.getoption('--project')}-scale"
    with ExitStack() as exits:
        models = {"LLM_CHOICES": f"ollama/{SLOW},ollama/{VERY_SLOW}"} if images == "stand-in" else {}
        stack = exits.enter_context(deployed(project, overlays=("scale",), images=images, **models))
        stack.up()
        first_cited_answer(stack)
        admin = exits.enter_context(stack.admin())
        readers = tuple(exits.enter_context(account) for account in accounts(stack, admin, 6))
        yield Scaled(stack, Inside(stack, admin, readers[0]), readers)


def accounts(stack: Deployment, admin: OpenWebUI, number: int) -> Iterator[OpenWebUI]:
    for each in range(number):
        email, password = f"reader-{each}@example.org", secrets.token_urlsafe(12)
        admin.put_user(name=f"Reader {each}", email=email, password=password)
        yield OpenWebUI(stack.open_webui_url, email=email, password=password, timeout_s=60)


@pytest.fixture
def stack(scaled: Scaled) -> Deployment:
    """Every part of it ready."""
    scaled.stack.wait_healthy()
    return scaled.stack


# --- all of them work ------------------------------------------------------------------------------------------------


def test_everything_is_there_twice_and_healthy(stack: Deployment) -> None:
    assert {one.name: one.health for one in stack.containers() if not one.ready(once=one.service in ONE_SHOTS)} == {}
    numbers = Counter(one.service for one in stack.containers())
    assert {service: number for service, number in numbers.items() if number > 1} == dict.fromkeys(TWICE, 2)
    assert {"valkey", "proxy", "qdrant", "qdrant-2", "qdrant-3"} <= set(numbers)


def test_questions_at_once_are_all_streamed_and_cited_and_every_replica_works(
    scaled: Scaled, stack: Deployment, slow: str, figures: list[str]
) -> None:
    worked = Tally.begun(stack, "n8n-worker", "Worker finished execution")
    called = Tally.begun(stack, "n8n-webhook", "Enqueued execution")
    calls = scaled.calls()

    def ask(number: int) -> list[str]:
        reader = scaled.readers[number % len(scaled.readers)]
        parts = list(streamed(reader, f"{QUESTION} I ask as number {number}.", model=slow))
        moments = [moment for moment, part, _ in parts if part == "text"]
        assert len(moments) > 20
        assert moments[-1] - moments[0] > 1.5
        assert any(part == "source" and words.startswith(SOURCE) for _, part, words in parts)
        return [part for _, part, _ in parts]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        kinds = list(pool.map(ask, range(AT_ONCE)))
    assert all(each[-1] == "usage" and "error" not in each for each in kinds)

    until(lambda: sum(worked.now().values()) >= AT_ONCE, within_s=20, why=worked.now)
    figures.append(f"{AT_ONCE} questions at once: workers {numbers(worked.now())}, webhooks {numbers(called.now())}")
    assert sum(worked.now().values()) == sum(called.now().values()) == AT_ONCE
    assert min(worked.now().values()) > 0
    assert min(called.now().values()) > 0
    # counted once, whichever replica counted
    until(lambda: scaled.calls() >= calls + AT_ONCE, within_s=10, why=scaled.calls)
    assert scaled.calls() == calls + AT_ONCE
    assert scaled.inside.sql("n8n", "SELECT count(*) FROM execution_entity") == "0"


def numbers(found: Mapping[str, int]) -> str:
    return " and ".join(str(number) for _, number in sorted(found.items()))


def test_readers_are_spread_over_open_webui_and_each_stays_where_it_is(stack: Deployment) -> None:
    served: set[str] = set()
    for each in range(12):
        mark = f"reader={secrets.token_hex(8)}"
        with httpx.Client(base_url=stack.open_webui_url) as browser:
            for _ in range(4):
                browser.get(f"/api/config?{mark}").raise_for_status()
        until(lambda mark=mark: sum(counted(stack, "open-webui", mark).values()) == 4, within_s=5)  # type: ignore[misc]
        served |= {name for name, number in counted(stack, "open-webui", mark).items() if number}
        assert 4 in counted(stack, "open-webui", mark).values(), each
    assert len(served) == 2


@pytest.mark.browser
def test_in_a_browser_the_answer_grows_through_the_proxy(
    scaled: Scaled, stack: Deployment, chromium: Browser, slow: str
) -> None:
    with new_window(chromium, stack.open_webui_url, scaled.readers[0]) as window:
        sockets: list[str] = []
        tab = ChatTab.open(window)
        tab.page.on("websocket", lambda socket: sockets.append(socket.url))
        tab.page.reload()
        expect(tab.input).to_be_visible()
        tab.choose(slow)
        tab.ask("How many days of annual leave may I carry over?")
        expect(tab.status).to_have_text(re.compile(r"Found \d+ passages in"))
        lengths = tab.lengths()
        assert lengths == sorted(lengths)
        assert len(set(lengths)) > 3
        tab.citation("annual-leave.md").click()
        expect(tab.passages).to_contain_text("Up to five days may be carried into the next year.")
        assert sockets
        assert all(url.startswith("ws://") for url in sockets)


def test_an_answer_whose_reader_leaves_is_stopped_at_the_model(
    scaled: Scaled, stack: Deployment, images: Images
) -> None:
    if images == "real":
        pytest.skip("Ollama counts no calls that were closed; the stand-in does.")
    before = scaled.inside.models()["cancelled"]
    parts = streamed(scaled.readers[0], f"{QUESTION} I shall not wait.", model=choice(VERY_SLOW))
    next(words for _, part, words in parts if part == "text")
    parts.close()  # type: ignore[attr-defined]
    until(lambda: scaled.inside.models()["cancelled"] > before, within_s=STOPPED_S, why=scaled.inside.models)
    assert scaled.inside.models()["active"] == 0


# --- documents -------------------------------------------------------------------------------------------------------


def test_no_document_is_read_twice(scaled: Scaled) -> None:
    documents, indexed, chunks = scaled.inside.sql(
        "ragline", "SELECT count(*), (SELECT count(*) FROM indexed), sum(chunks) FROM document"
    ).split("|")
    assert int(documents) == int(indexed) == len(scaled.inside.documents())
    assert int(chunks) in scaled.inside.kept().vectors.values()


def test_a_file_that_one_open_webui_takes_is_answered_from_by_all(scaled: Scaled, stack: Deployment) -> None:
    desk = Desk(f"{stack.open_webui_url}/api/v1", scaled.readers[0].token)
    for _ in range(4):  # each call is somebody else to the proxy
        file_id = desk.upload("ulm.md", GATE)
        assert desk.file(file_id)["content"] == "ulm.md is ready: 1 passage."
        assert any(
            "ulm.md" in words for _, part, words in streamed(scaled.readers[0], GATE_QUESTION) if part == "source"
        )
        desk.call("DELETE", f"/files/{file_id}")


@pytest.mark.browser
def test_a_document_of_the_form_reaches_the_worker_that_reads_it(
    scaled: Scaled, stack: Deployment, chromium: Browser
) -> None:
    account = {"username": FORM_USER, "password": stack.settings["UPLOAD_FORM_PASSWORD"]}
    with chromium.new_context(base_url=stack.n8n_url, http_credentials=account) as window:  # type: ignore[arg-type]
        page = window.new_page()
        for number in range(3):
            page.goto("/form/upload-document")
            send(page, {f"Schließfächer-{number}.md": LOCKER}, readers="Everyone")
            said = f"Schließfächer-{number}.md is ready: 1 passage."
            expect(page.locator("body")).to_contain_text(said, timeout=READ_S * 1000)


def test_replicas_that_are_started_anew_while_documents_come_lose_none(scaled: Scaled, stack: Deployment) -> None:
    before = set(scaled.inside.documents())
    for number in range(30):
        (stack.documents / f"lantern-{number}.md").write_text(
            f"# Lantern {number}\n\nLantern {number} is lit at dusk.\n"
        )
    scaled.inside.sync()
    stack.compose("restart", "--no-deps", "pipelines", "pipelines-worker")
    stack.wait_healthy()

    def unread() -> list[str]:
        return [origin for origin, each in scaled.inside.documents().items() if each["state"] != "ready"]

    until(lambda: not unread(), within_s=READ_S, why=unread)
    fresh = set(scaled.inside.documents()) - before
    assert len(fresh) == 30
    total = int(scaled.inside.sql("ragline", "SELECT sum(chunks) FROM document"))
    assert total in scaled.inside.kept().vectors.values()


# --- and each may die ------------------------------------------------------------------------------------------------


def test_an_n8n_worker_that_dies_takes_its_own_answers_along_and_says_so(
    scaled: Scaled, stack: Deployment, slow: str, figures: list[str]
) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = [
            pool.submit(ask_once, reader, f"{QUESTION} {n}.", model=slow) for n, reader in enumerate(scaled.readers)
        ]
        time.sleep(2.5)
        victim = stack.containers("n8n-worker")[0]
        killed = kill(victim)
        later = ask_once(scaled.readers[0], f"{QUESTION} I ask after it.")
        told = [answer.result() for answer in answers]
        came_back = back(stack, victim, within_s=PATIENCE_S) - killed
    lost = [one for one in told if one.end != "answered"]
    figures.append(
        f"killed n8n-worker: healthy after {came_back:.1f} s, {len(lost)} of {len(told)} answers lost, "
        f"told after {max((one.began + one.seconds - killed for one in lost), default=0):.1f} s: "
        f"{'; '.join({one.words for one in lost})}"
    )
    assert later.end == "answered"
    assert {one.end for one in lost} <= {"told"}
    assert 0 < len(lost) < len(told)
    assert all(one.began + one.seconds - killed < TOLD_S for one in lost)
    assert came_back < BACK_S


@pytest.mark.parametrize(
    "service", ["n8n-webhook", "pipelines", "pipelines-worker", "open-webui", "qdrant-2", "valkey", "proxy"]
)
def test_questions_go_on_when_one_dies(scaled: Scaled, stack: Deployment, service: str, figures: list[str]) -> None:
    victim = stack.containers(service)[0]
    with asking(scaled.readers[0], QUESTION) as one, asking(scaled.readers[1], QUESTION) as another:
        time.sleep(1.5)
        killed = kill(victim)
        came_back = back(stack, victim, within_s=PATIENCE_S) - killed
        until(lambda: all(each.answered_after(killed) is not None for each in (one, another)), within_s=60)
    ends = Counter(told.end for each in (one, another) for told in each.told)
    said = list(dict.fromkeys([*one.said(), *another.said()]))
    figures.append(
        f"killed {service}: back after {came_back:.1f} s, longest wait {max(one.slowest(), another.slowest()):.1f} s, "
        f"{dict(ends)}: {'; '.join(said) or 'nobody noticed'}"
    )
    assert "half" not in ends
    assert "unreachable" not in ends or service in ("proxy", "open-webui")
    assert came_back < BACK_S
    stack.wait_healthy(timeout_s=BACK_S)


def test_after_all_that_nothing_was_counted_twice(scaled: Scaled) -> None:
    time.sleep(3)  # what was asked before is in the ledger by now
    calls = scaled.calls()
    for number, reader in enumerate(scaled.readers):
        assert ask_once(reader, f"{QUESTION} Once more, {number}.").end == "answered"
    until(lambda: scaled.calls() >= calls + len(scaled.readers), within_s=10, why=scaled.calls)
    time.sleep(2)
    assert scaled.calls() == calls + len(scaled.readers)
