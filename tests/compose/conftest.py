"""The whole stack in containers. `--images real` runs the same tests on the vendors' images, from a registry."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pipelines.demo import Heard
from tests.compose.deployment import Deployment, Images, deployed

QUESTION = "How much is paid for a complete week of on-call duty?"
SOURCE = "on-call-and-overtime.docx"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--images", choices=["stand-in", "real"], default="stand-in", help="which images are run")


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
def arrival(images: Images) -> Iterator[Arrival]:
    """The stack that most tests share, with the sample handbook. A test that changes it puts it back."""
    with deployed("ragline-test", images=images) as stack:
        began = time.monotonic()
        up_s = stack.up()
        heard = first_cited_answer(stack)
        yield Arrival(stack, up_s, time.monotonic() - began, heard)


@pytest.fixture
def stack(arrival: Arrival) -> Deployment:
    """The shared stack, every part of it ready."""
    arrival.stack.wait_healthy()
    return arrival.stack


@pytest.fixture(scope="session", autouse=True)
def cleaned_up_when_ended() -> Iterator[None]:
    """A SIGTERM ends a run as Ctrl+C does: what was started is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def first_cited_answer(stack: Deployment, *, within_s: float = 120) -> Heard:
    """Ask until the documents have been read; the last answer comes back, cited or not."""
    end = time.monotonic() + within_s
    with stack.admin() as admin:
        while True:
            heard = stack.ask(admin, QUESTION)
            if heard.citations or time.monotonic() > end:
                return heard
            time.sleep(1)
