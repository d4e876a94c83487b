"""The folder for what is being read: one for each process, gone with it however it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed
from pipelines.ingest.spool import own_spool

KILLED = """
import os, pathlib, signal, sys
from pipelines.ingest.spool import own_spool
(own_spool(pathlib.Path(sys.argv[1])) / "bytes").write_text("secret")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_process_has_its_own_and_those_of_the_dead_are_removed(tmp_path: Path) -> None:
    spools = tmp_path / "data" / "spool"
    mine = own_spool(spools)
    (mine / "bytes").write_text("being read")
    subprocess.run([sys.executable, "-c", KILLED, str(spools)], check=False, timeout=30)
    left = [path for path in spools.iterdir() if path != mine]
    assert [(path / "bytes").read_text() for path in left] == ["secret"]
    other = own_spool(spools)
    assert sorted(spools.iterdir()) == sorted([mine, other])
    assert (mine / "bytes").read_text() == "being read"
    assert spools.stat().st_mode & 0o777 == 0o700


def test_a_place_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(SetupFailed, match="cannot be used"):
        own_spool(tmp_path / "spool")
