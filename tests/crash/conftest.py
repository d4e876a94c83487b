"""A bucket to ingest from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.aws import AwsServer, aws_server


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server
