"""One real stack for all end-to-end tests, with the sample handbook in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import HANDBOOK, WITH_BEDROCK, Stack, running_stack

PEOPLE_TEAM = "People team"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-screenshot", action="store_true", help="Put the browser test's screenshot beside it, for the README."
    )


@pytest.fixture(scope="session")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the stack keeps in line with."""
    return tmp_path_factory.mktemp("share")


@pytest.fixture(scope="session")
def empty_stack(tmp_path_factory: pytest.TempPathFactory, share: Path) -> Iterator[Stack]:
    """A stack as it is after the first `make up`: no document has been put in yet."""
    state: Path = tmp_path_factory.mktemp("stack")
    state.parent.chmod(0o755)  # PostgreSQL may run as another user
    with running_stack(state, first_port=23000, document_sources=str(share), **WITH_BEDROCK) as stack:
        yield stack


@pytest.fixture(scope="session")
def stack(empty_stack: Stack) -> Stack:
    """The stack with the handbook, whose `people-team` folder only that group may read."""
    open_paths = [path for path in sorted(HANDBOOK.iterdir()) if path.name != "people-team"]
    assert empty_stack.add(open_paths) == []
    assert empty_stack.add([HANDBOOK / "people-team"], group=PEOPLE_TEAM) == []
    return empty_stack
