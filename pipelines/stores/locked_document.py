"""One document's row while nobody else can change it: what is found out about the document goes in."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from pipelines.domain import DocumentRecord
from pipelines.stores.postgres import Row
from pipelines.stores.registry_rows import CONFIRM, FINISH, Finished, finished_row


@dataclass(frozen=True, slots=True)
class LockedDocument:
    """A document's row while nobody else can change it."""

    _connection: Connection[Row]
    record: DocumentRecord

    def finish(self, finished: Finished) -> None:
        """The document is wholly searchable; queued again meanwhile, it stays queued."""
        self._connection.execute(FINISH, {"id": self.record.id, **finished_row(finished)})
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO indexed VALUES (%s, %s, %s) "
                "ON CONFLICT (generation, document_id) DO UPDATE SET content_hash = excluded.content_hash",
                [(generation, self.record.id, finished.content_hash) for generation in finished.generations],
            )

    def confirm(self, version: str) -> None:
        """The document is as it was indexed: only its source says something else of its bytes."""
        self._connection.execute(CONFIRM, {"id": self.record.id, "version": version})

    def access_told(self) -> None:
        """The index has been told who may read the document."""
        self._connection.execute("UPDATE document SET access_due = false WHERE id = %s", [self.record.id])

    def delete(self) -> None:
        """Nothing is left of the document."""
        self._connection.execute("DELETE FROM document WHERE id = %s", [self.record.id])
