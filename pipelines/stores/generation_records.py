"""Which generation of the index is which, as one small file says it, replaced in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.errors import SetupFailed
from pipelines.stores.durable import read_json, write_json

Made = TypeVar("Made")

POINTER = "generations.json"
FORMER_RECORD, FORMER_SHARD = "embedding.json", "shard"
"""What lay directly in the folder before there were generations, and lies in the folder of each now."""


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """What has to be known to open a generation: its folder, the name of its model, its recipe."""

    id: str
    embedding: str
    recipe: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """The generations that there are, and the number of the newest that there ever was: no id is given twice."""

    live: GenerationRecord
    building: GenerationRecord | None
    previous: GenerationRecord | None
    last: int

    @property
    def ids(self) -> frozenset[str]:
        """The ids of those that there are."""
        return frozenset(record.id for record in (self.live, self.building, self.previous) if record)


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Make these the generations of `folder`. Raises `SetupFailed` when the file cannot be written."""
    try:
        write_json(folder / POINTER, asdict(pointer))
    except OSError as error:
        raise SetupFailed(f"{folder / POINTER} cannot be written: {error.strerror}.") from error


def read_pointer(folder: Path) -> Pointer | None:
    """The generations of `folder`; None when it has none. Raises `SetupFailed` when the file is damaged.

    The index of a release before there were generations becomes the first; of its recipe nothing is known.
    """
    pointer = _read(folder / POINTER, pointer_of)
    former = _read(folder / FORMER_RECORD, lambda record: str(record["embedding"]))
    if former is None:
        return pointer
    adopted = Pointer(GenerationRecord("g1", former, ""), None, None, 1)
    if pointer is None:
        write_pointer(folder, adopted)
        pointer = adopted
    if pointer == adopted:
        _move_former(folder, folder / adopted.live.id)
    return pointer


def pointer_of(content: dict[str, Any]) -> Pointer:
    """The pointer of what `asdict` made of it. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
    live, building, previous = (content[name] for name in ("live", "building", "previous"))
    return Pointer(
        GenerationRecord(**live),
        GenerationRecord(**building) if building else None,
        GenerationRecord(**previous) if previous else None,
        int(content["last"]),
    )


def _move_former(folder: Path, target: Path) -> None:
    """Take the index of a former release into `target`, or go on with that after it was cut off."""
    target.mkdir(exist_ok=True)
    # The record last: as long as it is in its old place, the rest is looked for there.
    for name in (FORMER_SHARD, FORMER_RECORD):
        if (folder / name).exists() and not (target / name).exists():
            (folder / name).rename(target / name)


def _read(path: Path, make: Callable[[dict[str, Any]], Made]) -> Made | None:
    try:
        content = read_json(path)
        return None if content is None else make(content)
    except (ValueError, KeyError, TypeError) as error:
        raise SetupFailed(f"{path} is damaged: delete {path.parent}, and all is indexed anew.") from error
