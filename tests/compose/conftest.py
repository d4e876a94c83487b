"""The whole stack in containers. `--images real` runs the same tests on the vendors' images, from a registry."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.compose.deployment import Images


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--images", choices=["stand-in", "real"], default="stand-in", help="which images are run")


@pytest.fixture(scope="session")
def images(request: pytest.FixtureRequest) -> Images:
    chosen: Images = request.config.getoption("--images")
    return chosen


@pytest.fixture(scope="session", autouse=True)
def cleaned_up_when_ended() -> Iterator[None]:
    """A SIGTERM ends a run as Ctrl+C does: what was started is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)
