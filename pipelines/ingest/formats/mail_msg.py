"""A mail as Outlook saves it (.msg) in, a `Mail` out."""

from __future__ import annotations

import email.utils
from typing import cast

import oxmsg
from oxmsg.attachment import Attachment as OutlookAttachment
from oxmsg.domain import constants
from oxmsg.storage import Storage, Stream

from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.mail_message import Attachment, Mail, is_shown

WHAT = "Outlook message"
EMBEDDED = "__substg1.0_3701000D"
"""The storage in an attachment that holds a mail ([MS-OXMSG] 2.2.2.1)."""
PROPERTIES = "__properties_version1.0"
EMBEDDED_HEADER, TOP_HEADER = 24, 32
"""Bytes before the properties of a mail within a mail, and of one at the top ([MS-OXMSG] 2.4.1)."""
CONTENT_ID = 0x3712


def read(data: bytes) -> Mail:
    """Raises `UnreadableDocument` where the file is broken."""
    with refuse_broken(WHAT):
        return _mail(oxmsg.Message.load(data))


def _mail(message: oxmsg.Message) -> Mail:
    html = message.properties.binary_prop_value(constants.PID_HTML) or (message.html_body or "").encode()
    return Mail(
        subject=message.subject,
        headers=tuple(_headers(message)),
        text=message.body or "",
        html=html,
        attachments=tuple(_attachment(attachment, html) for attachment in message.attachments),
    )


def _headers(message: oxmsg.Message) -> list[str]:
    sent = message.sent_date
    travelled = message.message_headers
    recipients = ", ".join(
        email.utils.formataddr((recipient.name, recipient.email_address)) for recipient in message.recipients
    )
    found = {
        "From": message.sender or "",
        "To": travelled.get("To", "") or recipients,
        "Cc": travelled.get("Cc", ""),
        "Date": sent.isoformat(" ", "minutes") if sent else travelled.get("Date", ""),
    }
    return [f"{name}: {value}" for name, value in found.items() if value]


def _attachment(attachment: OutlookAttachment, html: bytes) -> Attachment:
    for storage in cast(Storage, attachment._storage).storages:
        if storage.name == EMBEDDED:
            inner = oxmsg.Message(_as_top(storage))
            return Attachment(inner.subject or "message", "message/rfc822", _mail(inner))
    media_type = attachment.mime_type or ""
    is_decoration = is_shown(attachment.properties.str_prop_value(CONTENT_ID) or "", media_type, html)
    return Attachment(attachment.file_name or "without a name", media_type, attachment.file_bytes, is_decoration)


def _as_top(storage: Storage) -> Storage:
    """An embedded mail with the header of one at the top, the only one that python-oxmsg 0.0.2 knows."""
    streams = (
        Stream(stream.path, stream.bytes_[:EMBEDDED_HEADER].ljust(TOP_HEADER, b"\0") + stream.bytes_[EMBEDDED_HEADER:])
        if stream.name == PROPERTIES
        else stream
        for stream in storage.streams
    )
    return Storage(storage.path, tuple(streams), storage.storages)
