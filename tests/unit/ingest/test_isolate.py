from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pipelines.errors import Busy, DocumentTooCostly, EncryptedDocument, Unavailable, UnreadableDocument
from pipelines.ingest.isolate import MAX_DOCUMENTS, Isolation
from tests.unit.ingest import reading_functions as reading

NEVER_IN_A_READER = {"boto3", "fastapi", "onnxruntime", "psycopg", "qdrant_edge", "uvicorn"}


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    shared = Isolation(workers=1, memory_mb=256, timeout_s=10)
    yield shared
    shared.close()


def test_a_function_runs_in_a_process_of_its_own_which_stays_for_the_next(isolation: Isolation) -> None:
    assert isolation.run(reading.double, 20, plus=2) == 42
    process = isolation.run(reading.process_id)
    assert process != os.getpid()
    assert isolation.run(reading.process_id) == process


def test_our_errors_come_back_as_themselves(isolation: Isolation) -> None:
    with pytest.raises(EncryptedDocument, match="protected by a password"):
        isolation.run(reading.reject)
    with pytest.raises(Busy) as caught:
        isolation.run(reading.say_when)
    assert (caught.value.message, caught.value.retry_after) == ("Later.", 2.5)


def test_our_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(Busy("Later.", retry_after=2.5)))  # noqa: S301
    assert (type(error), error.message, error.retry_after) == (Busy, "Later.", 2.5)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (reading.recurse, "RecursionError"),
        (reading.give_up, "SystemExit"),
        (reading.give_a_closure, "AttributeError"),
    ],
)
def test_any_other_exception_makes_the_document_unreadable(
    isolation: Isolation, function: Callable[[], object], name: str
) -> None:
    with pytest.raises(UnreadableDocument, match=name):
        isolation.run(function)


def test_the_log_says_where_a_parser_failed_and_nothing_of_the_document(
    isolation: Isolation, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnreadableDocument, match=r"could not be read \(ValueError\)") as caught:
        isolation.run(reading.fail, "Erika's salary")
    assert "reading_functions.py" in caplog.text
    assert "Erika" not in caplog.text + caught.value.message


def test_too_much_memory_costs_only_the_document(isolation: Isolation) -> None:
    assert isolation.run(reading.allocate, 100) == 100 * 2**20
    with pytest.raises(DocumentTooCostly, match="over 256 MB of memory"):
        isolation.run(reading.allocate, 400)
    assert isolation.run(reading.allocate, 100) == 100 * 2**20


def test_a_process_that_keeps_much_memory_is_replaced(isolation: Isolation) -> None:
    process = isolation.run(reading.keep, 100)
    assert isolation.run(reading.process_id) != process
    assert isolation.run(reading.keep, 200) != process


def test_a_parser_that_aborts_wanted_more_memory(isolation: Isolation) -> None:
    with pytest.raises(DocumentTooCostly, match="takes over 256 MB of memory"):
        isolation.run(reading.abort)
    assert isolation.run(reading.double, 1) == 2


@pytest.mark.parametrize(("function", "how"), [(reading.crash, "SIGSEGV"), (reading.leave, "exit code 7")])
def test_a_crash_costs_only_the_document(isolation: Isolation, function: Callable[[], None], how: str) -> None:
    with pytest.raises(UnreadableDocument, match=f"the reader crashed over it \\({how}\\)"):
        isolation.run(function)
    assert isolation.run(reading.double, 1) == 2


def test_a_process_killed_while_it_waits_is_replaced(isolation: Isolation) -> None:
    os.kill(isolation.run(reading.process_id), signal.SIGKILL)
    time.sleep(0.3)
    assert isolation.run(reading.double, 1) == 2
    os.kill(isolation.run(reading.process_id), signal.SIGKILL)
    assert isolation.run(reading.double, 1) == 2


def test_nothing_a_parser_prints_reaches_the_output(isolation: Isolation, capfd: pytest.CaptureFixture[str]) -> None:
    own = Isolation(workers=1, memory_mb=256, timeout_s=10)
    own.run(reading.print_much)
    own.close()
    assert capfd.readouterr().out == ""


def test_a_reader_gives_way_and_leaves_interrupts_to_its_parent(isolation: Isolation) -> None:
    assert isolation.run(reading.surroundings) == (10, True)


def test_a_process_is_replaced_after_some_documents() -> None:
    own = Isolation(workers=1, memory_mb=256, timeout_s=10)
    processes = [own.run(reading.process_id) for _ in range(MAX_DOCUMENTS + 1)]
    own.close()
    assert len(set(processes[:MAX_DOCUMENTS])) == 1
    assert processes[-1] != processes[0]


def test_a_document_over_time_neither_delays_nor_fails_those_beside_it() -> None:
    own = Isolation(workers=2, memory_mb=256, timeout_s=1)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: own.run(reading.sleep, 0.3), range(2)))
        started = time.monotonic()
        costly = threads.submit(own.run, reading.compute_in_c)
        slowest = 0.0
        while not costly.done():
            begun = time.monotonic()
            assert threads.submit(own.run, reading.sleep, 0.05).result() == 0.05
            slowest = max(slowest, time.monotonic() - begun)
        with pytest.raises(DocumentTooCostly, match="over 1 s"):
            costly.result()
        assert time.monotonic() - started < 4
    own.close()
    assert slowest < 1


def test_waiting_for_a_process_is_not_time_of_the_document() -> None:
    own = Isolation(workers=1, memory_mb=256, timeout_s=1)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda _: own.run(reading.sleep, 0.6), range(3))) == [0.6] * 3
    own.close()


def test_closing_ends_what_is_being_read_at_once() -> None:
    own = Isolation(workers=1, memory_mb=256, timeout_s=60)
    process = own.run(reading.process_id)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(own.run, reading.sleep, 30.0) for _ in range(2)]
        time.sleep(0.3)
        started = time.monotonic()
        own.close()
        for call in calls:
            with pytest.raises(Unavailable, match="stopping"):
                call.result()
    assert time.monotonic() - started < 3
    assert not psutil.pid_exists(process)
    with pytest.raises(Unavailable):
        own.run(reading.double, 1)


def test_no_process_survives_the_kill_of_its_parent() -> None:
    """Not even one that computes in C, and whichever thread of the parent asked for it."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"reading\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_a_reader_imports_little_even_under_the_command_line(tmp_path: Path) -> None:
    script = tmp_path / "ragline"
    script.write_text(_MODULES)
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60).stdout
    imported = set(printed.split())
    assert "pipelines.ingest.isolated" in imported
    assert imported & NEVER_IN_A_READER == set()


_PARENT = """
import threading, time
from pipelines.ingest.isolate import Isolation
from tests.unit.ingest import reading_functions as reading

if __name__ == "__main__":
    isolation = Isolation(workers=2, memory_mb=256, timeout_s=60)
    threading.Thread(target=isolation.run, args=(reading.compute_in_c,), daemon=True).start()
    time.sleep(0.1)
    isolation.run(reading.double, 1)
    time.sleep(0.5)
    print("reading", flush=True)
    time.sleep(60)
"""

_MODULES = """
from pipelines.cli import main
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.read import read_document
from tests.unit.ingest import reading_functions as reading

if __name__ == "__main__":
    isolation = Isolation(workers=1, memory_mb=512, timeout_s=60)
    try:
        isolation.run(read_document, None, None, None, 0)
    except Exception:
        print(*sorted(isolation.run(reading.modules)))
    isolation.close()
"""
