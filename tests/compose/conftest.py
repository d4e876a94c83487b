"""The whole stack in containers. `--images real` runs the same tests on the vendors' images, from a registry."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from pipelines.demo import Heard
from pipelines.provision.open_webui import OpenWebUI
from tests.compose.deployment import Deployment, Images, deployed
from tests.compose.inside import Inside
from tests.e2e.browser import running_chromium
from tests.stack import MODEL, SLOW, choice

QUESTION = "How much is paid for a complete week of on-call duty?"
SOURCE = "on-call-and-overtime.docx"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--images", choices=["stand-in", "real"], default="stand-in", help="which images are run")
    parser.addoption("--project", default="ragline-test", help="another name lets two of these runs be on one machine")


FIGURES = pytest.StashKey[list[str]]()
SHARED = pytest.StashKey[Deployment]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is measured from nothing comes first, before other tests kill parts of the shared stack."""
    items.sort(key=lambda item: item.path.name != "test_up.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


@dataclass(frozen=True)
class Arrival:
    """A stack from nothing to its first cited answer: how long each took, counted from `docker compose up`."""

    stack: Deployment
    up_s: float
    answer_s: float
    heard: Heard


@pytest.fixture(scope="session")
def images(request: pytest.FixtureRequest) -> Images:
    chosen: Images = request.config.getoption("--images")
    return chosen


@pytest.fixture(scope="session")
def arrival(request: pytest.FixtureRequest, images: Images) -> Iterator[Arrival]:
    """The stack that most tests share, with the sample handbook. A test that changes it puts it back."""
    with deployed(request.config.getoption("--project"), images=images) as stack:
        request.config.stash[SHARED] = stack
        began = time.monotonic()
        up_s = stack.up()
        heard = first_cited_answer(stack)
        yield Arrival(stack, up_s, time.monotonic() - began, heard)


@pytest.fixture(scope="module")
def shared_stack_frozen(request: pytest.FixtureRequest) -> Iterator[None]:
    """For a module with a stack of its own: meanwhile the shared one, where there is one, takes no processor time."""
    shared = request.config.stash.get(SHARED, None)
    if shared:
        shared.compose("pause")
    yield
    if shared:
        shared.compose("unpause")


@pytest.fixture
def stack(arrival: Arrival) -> Deployment:
    """The shared stack, every part of it ready."""
    arrival.stack.wait_healthy()
    return arrival.stack


@pytest.fixture(scope="session")
def admin(arrival: Arrival) -> Iterator[OpenWebUI]:
    with arrival.stack.admin() as account:
        yield account


@pytest.fixture(scope="session")
def reader(arrival: Arrival, admin: OpenWebUI) -> Iterator[OpenWebUI]:
    """An ordinary account."""
    email, password = "reader@example.org", secrets.token_urlsafe(12)
    admin.put_user(name="Reader", email=email, password=password)
    with OpenWebUI(arrival.stack.open_webui_url, email=email, password=password, timeout_s=60) as account:
        yield account


@pytest.fixture(scope="session")
def inside_of_session(arrival: Arrival, admin: OpenWebUI, reader: OpenWebUI) -> Inside:
    return Inside(arrival.stack, admin, reader)


@pytest.fixture
def inside(stack: Deployment, inside_of_session: Inside) -> Inside:
    """What the shared stack keeps, every part of it ready."""
    assert inside_of_session.stack is stack
    return inside_of_session


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def slow(images: Images) -> str:
    """The id of a model that writes for some seconds."""
    return choice(SLOW) if images == "stand-in" else MODEL


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed when all tests have ended."""
    return request.config.stash.setdefault(FIGURES, [])


@pytest.fixture(scope="session", autouse=True)
def cleaned_up_when_ended() -> Iterator[None]:
    """A SIGTERM ends a run as Ctrl+C does: what was started is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def first_cited_answer(stack: Deployment, *, within_s: float = 120) -> Heard:
    """Ask until the document that answers has been read; the last answer comes back, cited or not."""
    end = time.monotonic() + within_s
    with stack.admin() as admin:
        while True:
            heard = stack.ask(admin, QUESTION)
            if any(citation.startswith(SOURCE) for citation in heard.citations) or time.monotonic() > end:
                return heard
            time.sleep(1)
