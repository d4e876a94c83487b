"""Any zip-based document in, its members out, none of them before its size was checked and none of them on disk.

The names of members are looked up, never used as paths.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from pipelines.errors import DocumentTooLarge, EncryptedDocument
from pipelines.ingest.formats.broken import refuse_broken

MAX_UNPACKED = 512 * 1024 * 1024
"""Bytes all members may unpack to: what is beyond is an attack or not worth the memory."""
MAX_MEMBERS = 20_000
MAX_RATIO = 200
"""Unpacked to packed bytes; text seldom reaches 20."""
RATIO_FROM = 16 * 1024 * 1024
"""Unpacked bytes below which the ratio is of no interest."""

_ENCRYPTED = 0x1
"""The bit of a member's flags that says so."""


class Archive:
    """A zip file that was found harmless by what it declares, and that is held to it.

    Raises:
        UnreadableDocument: it is broken.
        EncryptedDocument: a member needs a password.
        DocumentTooLarge: it unpacks to too many bytes or members.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._what = what
        with refuse_broken(what):
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._members = {member.filename: member for member in self._zip.infolist()}
        self._refuse_bomb(packed=len(data))
        if any(member.flag_bits & _ENCRYPTED for member in self._members.values()):
            raise EncryptedDocument(f"The {what} is protected by a password: save it without one and add it again.")

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            UnreadableDocument: there is no such member, it is damaged, or larger than it declares.
        """
        with refuse_broken(self._what):
            member = self._members[name]
            # Without a number, `read` would unpack all there is before it looks at the declared size (Python 3.11).
            with self._zip.open(member) as file:
                return file.read(member.file_size + 1)

    def find(self, name: str) -> bytes:
        """The bytes of a member, none where there is no such member."""
        return self.read(name) if name in self._members else b""

    def repacked(
        self, suffixes: tuple[str, ...] = (".xml", ".rels"), *, instead: Mapping[str, bytes] | None = None
    ) -> bytes:
        """The archive written anew for a library that does not hold members to their declared sizes.

        Members with other `suffixes` (pictures, films, fonts) keep their names and lose their bytes; those in
        `instead` get other bytes.
        """
        changed = instead or {}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name in self._members:
                is_kept = name.lower().endswith(suffixes)
                member = changed[name] if name in changed else self.read(name) if is_kept else b""
                archive.writestr(zipfile.ZipInfo(name), member)
        return buffer.getvalue()

    def _refuse_bomb(self, *, packed: int) -> None:
        if len(self._zip.infolist()) > MAX_MEMBERS:
            raise DocumentTooLarge(f"The {self._what} holds {len(self._zip.infolist())} parts, more than can be read.")
        unpacked = sum(member.file_size for member in self._zip.infolist())
        if unpacked > MAX_UNPACKED or (unpacked > RATIO_FROM and unpacked > MAX_RATIO * packed):
            raise DocumentTooLarge(f"The {self._what} unpacks to {unpacked // 2**20} MB, which is more than is read.")
