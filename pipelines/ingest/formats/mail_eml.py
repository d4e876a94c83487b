"""A mail as it travels (RFC 5322 and MIME) in, a `Mail` out."""

from __future__ import annotations

import email
from email import policy
from email.message import EmailMessage, MIMEPart
from typing import cast

from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.mail_message import Attachment, Mail, is_shown

WHAT = "mail"
SHOWN = ("From", "To", "Cc", "Date")


def read(data: bytes) -> Mail:
    """Raises `UnreadableDocument` where there are no headers, or parts are nested beyond reason."""
    with refuse_broken(WHAT):
        message = email.message_from_bytes(data, policy=policy.default)
        if not message.keys():
            raise UnreadableDocument("The file is called a mail but has none of a mail's headers.")
        return _mail(message)


def _mail(message: EmailMessage) -> Mail:
    plain, marked_up = message.get_body(("plain",)), message.get_body(("html",))
    html = _text(marked_up).encode() if marked_up else b""
    # A mail may be nothing but its attachment: a scan sent by a copier, for instance.
    is_body = not message.is_multipart() and message.get_content_maintype() == "text"
    parts = list(message.iter_attachments()) if message.is_multipart() else [] if is_body else [message]
    return Mail(
        subject=str(message["subject"] or ""),
        headers=tuple(f"{name}: {message[name]}" for name in SHOWN if message[name]),
        text=_text(plain) if plain else "",
        html=html,
        attachments=tuple(_attachment(part, html) for part in parts),
    )


def _attachment(part: MIMEPart, html: bytes) -> Attachment:
    media_type = part.get_content_type()
    if media_type == "message/rfc822":
        inner = cast(EmailMessage, part.get_payload(0))
        return Attachment(str(inner["subject"] or "message"), media_type, _mail(inner))
    is_decoration = is_shown(str(part.get("content-id", "")), media_type, html)
    return Attachment(part.get_filename() or "without a name", media_type, _bytes(part), is_decoration)


def _text(part: MIMEPart) -> str:
    return _bytes(part).decode(_charset(part), errors="replace")


def _bytes(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _charset(part: MIMEPart) -> str:
    name = part.get_content_charset("utf-8")
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return "utf-8"
    return name
