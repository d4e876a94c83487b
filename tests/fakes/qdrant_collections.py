"""The collections of the Qdrant stand-in: JSON bodies go in, JSON results come out of the real engine, on a folder."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import qdrant_edge as qdrant

from tests.fakes import qdrant_wire as wire
from tests.fakes.qdrant_wire import BadRequest, Json

_UPDATE = qdrant.UpdateOperation


class Collection:
    """One collection under `folder`, made with the body of its creation unless it is there.

    Like the server, it takes a change of many points in batches of `step`, between which others read: 512 for payloads
    and deletions in Qdrant 1.17.
    """

    def __init__(self, folder: Path, step: int, body: Json | None = None) -> None:
        self._step = step
        self._operations = 0
        self._updating = asyncio.Lock()
        record = folder / "collection.json"
        if body is not None:
            folder.mkdir(parents=True)
            self.body = body
            self._shard = qdrant.EdgeShard.create(str(folder / "shard"), wire.config(body))
            record.write_text(json.dumps(body))
        else:
            self.body = json.loads(record.read_text())
            self._shard = qdrant.EdgeShard.load(str(folder / "shard"))
            self._shard.optimize()

    def close(self) -> None:
        self._shard.close()

    def info(self) -> Json:
        """As `GET /collections/{name}` shows it."""
        info = self._shard.info()
        kinds = {field: str(index.data_type).rpartition(".")[2].lower() for field, index in info.payload_schema.items()}
        given = {name: self.body[name] for name in ("vectors", "sparse_vectors") if self.body.get(name) is not None}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "segments_count": info.segments_count,
            "points_count": info.points_count,
            "indexed_vectors_count": info.indexed_vectors_count,
            "config": {
                "params": {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, **given},
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
                "optimizer_config": {"default_segment_number": 0, "flush_interval_sec": 5},
            },
            "payload_schema": {field: {"data_type": kind, "points": 0} for field, kind in kinds.items()},
        }

    async def create_index(self, body: Json) -> Json:
        operation = _UPDATE.create_field_index(body["field_name"], wire.field_schema(body["field_schema"]))
        return await self._update([operation])

    async def upsert(self, body: Json) -> Json:
        mode = {"insert_only": qdrant.UpdateMode.InsertOnly, "update_only": qdrant.UpdateMode.UpdateOnly}.get(
            body.get("update_mode") or "upsert", qdrant.UpdateMode.Upsert
        )
        points, only = [wire.point(each) for each in body["points"]], wire.condition(body.get("update_filter"))
        return await self._update(_UPDATE.upsert_points(part, only, mode) for part in self._parts(points))

    async def set_payload(self, body: Json) -> Json:
        payload = body["payload"]
        return await self._to_each(body, lambda ids: _UPDATE.set_payload(ids, payload))

    async def delete(self, body: Json) -> Json:
        return await self._to_each(body, _UPDATE.delete_points)

    async def count(self, body: Json) -> Json:
        request = qdrant.CountRequest(exact=body.get("exact", True), filter=wire.condition(body.get("filter")))
        return {"count": self._shard.count(request)}

    async def scroll(self, body: Json) -> Json:
        records, offset = self._shard.scroll(
            qdrant.ScrollRequest(
                body.get("offset"),
                body.get("limit") or 10,
                wire.condition(body.get("filter")),
                wire.with_payload(body, default=True),
                body.get("with_vector") or False,
            )
        )
        return {
            "points": [_record(record) for record in records],
            "next_page_offset": None if offset is None else str(offset),
        }

    async def retrieve(self, body: Json) -> list[Json]:
        wanted = wire.with_payload(body, default=True)
        return [
            _record(record) for record in self._shard.retrieve(body["ids"], wanted, body.get("with_vector") or False)
        ]

    async def query(self, body: Json) -> Json:
        points = self._shard.query(wire.query_request(body))
        return {"points": [{**_record(point), "score": point.score, "version": point.version} for point in points]}

    async def _to_each(self, body: Json, operation: Callable[[list[Any]], qdrant.UpdateOperation]) -> Json:
        ids = list(body["points"]) if body.get("points") else [each async for each in self._matching(body)]
        return await self._update(operation(part) for part in self._parts(ids))

    async def _matching(self, body: Json) -> AsyncIterator[Any]:
        these = wire.condition(body["filter"])
        offset = None
        while True:
            records, offset = self._shard.scroll(qdrant.ScrollRequest(offset, 1000, these, with_payload=False))
            for record in records:
                yield record.id
            if offset is None:
                return

    def _parts(self, items: list[Any]) -> Iterator[list[Any]]:
        return (items[start : start + self._step] for start in range(0, len(items), self._step))

    async def _update(self, operations: Iterator[qdrant.UpdateOperation] | list[qdrant.UpdateOperation]) -> Json:
        async with self._updating:
            for operation in operations:
                self._shard.update(operation)
                # Others read between two batches.
                await asyncio.sleep(0)
        self._operations += 1
        return {"operation_id": self._operations, "status": "completed"}


class Collections:
    """All collections under `folder`, as they were left there."""

    def __init__(self, folder: Path, *, step: int = 512) -> None:
        self._folder, self._step = folder, step
        folder.mkdir(parents=True, exist_ok=True)
        self._open = {each.parent.name: Collection(each.parent, step) for each in folder.glob("*/collection.json")}

    def names(self) -> list[str]:
        return sorted(self._open)

    def get(self, name: str) -> Collection | None:
        return self._open.get(name)

    def create(self, name: str, body: Json) -> bool:
        """False when there is one of that name."""
        if name in self._open:
            return False
        if not name.replace("-", "").replace("_", "").isalnum():
            raise BadRequest(f"the stand-in takes no collection named {name}")
        self._open[name] = Collection(self._folder / name, self._step, body)
        return True

    def delete(self, name: str) -> bool:
        """False when there is none."""
        collection = self._open.pop(name, None)
        if collection:
            collection.close()
            shutil.rmtree(self._folder / name)
        return collection is not None

    def close(self) -> None:
        for collection in self._open.values():
            collection.close()


def _record(record: Any) -> Json:
    body: Json = {"id": str(record.id) if not isinstance(record.id, int) else record.id}
    if record.payload is not None:
        body["payload"] = record.payload
    if record.vector is not None:
        body["vector"] = wire.vectors_out(record.vector)
    return body
