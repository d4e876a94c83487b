"""A process that builds the search graph is killed at each instant of the build, and the index opened again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.stores import qdrant_edge as adapter
from pipelines.stores import qdrant_edge_folder, qdrant_edge_optimise_copy
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.unit.stores import test_qdrant_edge_optimise as alive
from tests.unit.stores.test_qdrant_edge_optimise import CHUNKS, EMBEDDING, publish, shards

ADDED, AFTER = 20, 7
"""Chunks published while the graph is built, and after it."""

INSTANTS: dict[str, tuple[Any, str, int]] = {
    "within the copy": (shutil, "copyfile", 9),
    "before the process is started": (adapter, "build_copy", 1),
    "while it runs": (subprocess.Popen, "wait", 1),
    "before the built copy is opened": (adapter, "open_shard", 1),
    "before what was missed is made good": (qdrant_edge_optimise_copy.Missed, "make_good", 1),
    "before the last of it is": (qdrant_edge_optimise_copy.Missed, "make_good", 2),
    "before the copy counts": (qdrant_edge_folder, "write_json", 1),
    "when its record is half written": (Path, "replace", 2),
    "when it counts and is not searched": (qdrant_edge_folder.ShardFolders, "use", -1),
    "before the old one is deleted": (qdrant_edge_folder.ShardFolders, "delete_others", 1),
    "within its deletion": (os, "unlink", 3),
    "after it": (qdrant_edge_folder.ShardFolders, "delete_others", -1),
    "after what came later": (adapter.QdrantEdgeIndex, "count", 1),
}
"""What is called then, and at which call from the beginning of the build; -1: after the first.

The publication during the build replaces one file and deletes one, its journal.
"""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


@pytest.mark.parametrize("instant", INSTANTS)
def test_a_process_killed_within_a_build_loses_nothing_and_leaves_one_shard(tmp_path: Path, instant: str) -> None:
    folder = tmp_path / "index"
    child = FORKS.Process(target=build_until_killed, args=(folder, tmp_path, instant))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    expected = CHUNKS + sum(int(note.read_text()) for note in tmp_path.glob("*.note"))
    for more in (3, 4):
        index = QdrantEdgeIndex(folder, EMBEDDING)
        assert index.count() == len(alive.found(index, "hotel")) == expected
        assert len(shards(folder)) == 1
        publish(index, f"later {more}", more)
        index.close()
        expected += more


def build_until_killed(folder: Path, notes: Path, instant: str) -> None:
    alive.make_index(folder)
    index = QdrantEdgeIndex(folder, EMBEDDING)

    def build_and_publish(*arguments: Any, **options: Any) -> bool:
        built = qdrant_edge_optimise_copy.build_copy(*arguments, **options)
        publish(index, "added", ADDED)
        (notes / "added.note").write_text(str(ADDED))
        return built

    vars(adapter)["build_copy"] = build_and_publish
    owner, name, at = INSTANTS[instant]
    setattr(owner, name, killing(getattr(owner, name), at))
    index.optimise_now()
    publish(index, "after", AFTER)
    (notes / "after.note").write_text(str(AFTER))
    index.count()


def killing(call: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **options)
        if at == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return counted
