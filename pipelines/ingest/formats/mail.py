"""A mail in (.eml or Outlook's .msg), who wrote what to whom and what was attached out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import DocumentRejected

# Imported whole: it lists this module among the formats, and is only looked into when a mail is read.
from pipelines.ingest import formats
from pipelines.ingest.formats import html, mail_eml, mail_msg, ole
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.mail_message import Attachment, Mail

MAX_ATTACHMENTS = 100
"""Attachments that are read, those of attached mails included."""
MAX_BYTES = 256 * 1024 * 1024
"""Bytes of all attachments that are read."""
MAX_DEPTH = 5
"""Mails within mails that are read."""


def parse(data: bytes) -> ParsedDocument:
    """The title is the subject. What is attached follows the text, each under its name; quoted replies are kept.

    An attachment that cannot be read does not cost the mail: a paragraph says which and why.

    Raises:
        UnreadableDocument: the mail itself is broken.
    """
    reader = _Reader()
    mail = _read(data)
    return ParsedDocument(tuple(reader.blocks_of(mail)), title=clean_line(mail.subject))


def _read(data: bytes) -> Mail:
    return mail_msg.read(data) if data.startswith(ole.MAGIC) else mail_eml.read(data)


@dataclass
class _Reader:
    """Reads a mail and what is attached to it until the limits are reached."""

    attachments: int = 0
    size: int = 0
    depth: int = 0

    def blocks_of(self, mail: Mail) -> Iterator[Block]:
        head = clean_lines("\n".join(mail.headers))
        if head:
            yield Block(head)
        yield from _body(mail)
        for attachment in mail.attachments:
            if not attachment.is_decoration:
                yield from self._attachment(attachment)

    def _attachment(self, attachment: Attachment) -> list[Block]:
        name = clean_line(attachment.name)
        section = (f"Attachment: {name}",)
        try:
            inside = self._inside(attachment, name)
        except DocumentRejected as error:
            return [Block(f"The attachment {name} could not be read: {error.message}", section=section)]
        return [
            Block(section[0], kind="heading", section=section),
            *(replace(block, page=None, section=(*section, *_page(block), *block.section)) for block in inside),
        ]

    def _inside(self, attachment: Attachment, name: str) -> list[Block]:
        """The blocks of an attachment; raises `DocumentRejected` where it cannot or may not be read."""
        self.attachments += 1
        self.size += len(attachment.data) if isinstance(attachment.data, bytes) else 0
        if self.attachments > MAX_ATTACHMENTS or self.size > MAX_BYTES or self.depth >= MAX_DEPTH:
            raise DocumentRejected("The mail has more attachments than are read.")
        if isinstance(attachment.data, Mail):
            return self._inner_mail(attachment.data)
        if not attachment.data:
            raise DocumentRejected("It is not stored in the mail.")
        its_format = formats.recognise(name, attachment.data, media_type=attachment.media_type)
        if its_format.parse is parse:
            return self._inner_mail(_read(attachment.data))
        return _whole(its_format.parse(attachment.data))

    def _inner_mail(self, mail: Mail) -> list[Block]:
        self.depth += 1
        try:
            return [Block(f"Subject: {clean_line(mail.subject)}"), *self.blocks_of(mail)]
        finally:
            self.depth -= 1


def _body(mail: Mail) -> Iterator[Block]:
    for paragraph in mail.text.replace("\r\n", "\n").split("\n\n"):
        text = clean_lines(paragraph)
        if text:
            yield Block(text)
    if not mail.text.strip() and mail.html.strip():
        try:
            yield from html.parse(mail.html).blocks
        except DocumentRejected:
            yield Block("The text of the mail could not be read.")


def _whole(parsed: ParsedDocument) -> list[Block]:
    """The blocks of an attached document, with a word on what could not be read of it."""
    blocks = list(parsed.blocks)
    if parsed.unread:
        pages = ", ".join(map(str, parsed.unread))
        blocks.append(Block(f"Of this attachment, these pages hold no text that could be read: {pages}."))
    if not blocks:
        raise DocumentRejected("It holds no text.")
    return blocks


def _page(block: Block) -> tuple[str, ...]:
    # A page number of its own would be taken for one of the mail.
    return () if block.page is None else (f"Page {block.page}",)
