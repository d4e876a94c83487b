"""One change of a document in the embedded index: what it writes, drops and hides, kept on disk until it is through."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import qdrant_edge as qdrant

from pipelines.stores.durable import read_json, write_json
from pipelines.stores.payload import STAGED
from pipelines.stores.qdrant_edge_points import is_equal

_STAGED = is_equal("access", STAGED)


@dataclass(frozen=True, slots=True)
class Change:
    """A change takes many steps of the engine. Each can be done again, so one that was cut off is carried out anew.

    `publish` gives the points of `staging` their `payload` and drops what was published before, `access` gives the
    published points their `payload`, `remove` drops all there are.
    """

    kind: Literal["publish", "access", "remove"]
    document_id: str
    staging: str = ""
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> qdrant.Filter | None:
        """The points that get the payload."""
        if self.kind == "publish":
            return qdrant.Filter(must=[is_equal("staging", self.staging)])
        if self.kind == "access":
            return qdrant.Filter(must=[self._document], must_not=[_STAGED])
        return None

    @property
    def dropped(self) -> qdrant.Filter | None:
        """The points that are deleted."""
        if self.kind == "publish":
            return qdrant.Filter(must=[self._document], must_not=[is_equal("staging", self.staging), _STAGED])
        if self.kind == "remove":
            return qdrant.Filter(must=[self._document])
        return None

    @property
    def hidden_at_first(self) -> qdrant.Filter:
        """The points that nobody may find until all payloads are written: where a document is published the new
        ones, so that the earlier revision is found whole; else the whole document."""
        return qdrant.Filter(must=[is_equal("staging", self.staging) if self.kind == "publish" else self._document])

    @property
    def _document(self) -> qdrant.FieldCondition:
        return is_equal("document_id", self.document_id)


class Journal:
    """Holds the change that is being made, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, change: Change) -> None:
        """Note the change; it is durable when this returns."""
        write_json(self._path, asdict(change))

    def read(self) -> Change | None:
        """The change that was cut off, if one was. Raises `ValueError` or `TypeError` for a damaged file."""
        content = read_json(self._path)
        return None if content is None else Change(**content)

    def clear(self) -> None:
        """Note that the change is through."""
        self._path.unlink(missing_ok=True)
