from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed
from pipelines.native.command import run_logged


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "install.log"

    run_logged(python("print('fetched 3 packages')"), log, what="n8n")

    assert log.read_text() == "fetched 3 packages\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("npm error code ENOSPC", "the disk is full"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("npm error network getaddrinfo ENOTFOUND registry", "cannot be reached: check the network"),
        ("  × dns error: failed to lookup address", "cannot be reached: check the network"),
        ("npm error code EUSAGE\nnpm error lock file\nnpm help ci", "npm error code EUSAGE; npm error lock file"),
        ("it did not like that", "it did not like that"),
        ("", "it gave no reason"),
    ],
)
def test_a_failure_is_one_sentence_with_the_reason(tmp_path: Path, said: str, expected: str) -> None:
    with pytest.raises(SetupFailed) as caught:
        run_logged(python(f"print({said!r}); raise SystemExit(1)"), tmp_path / "install.log", what="n8n")

    assert expected in caught.value.message
    assert caught.value.message.startswith("Installing n8n failed: ")


def test_the_reason_is_of_this_command_not_of_an_earlier_one(tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    log.write_text("ENOSPC, last week\n")

    with pytest.raises(SetupFailed, match="bad luck"):
        run_logged(python("print('bad luck'); raise SystemExit(1)"), log, what="n8n")


def test_a_value_given_stands_over_the_environment(tmp_path: Path) -> None:
    log = tmp_path / "log"

    run_logged(python("import os; print(os.environ['JOBS'])"), log, what="n8n", environment={"JOBS": "2"})

    assert log.read_text() == "2\n"
