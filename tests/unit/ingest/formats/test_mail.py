from __future__ import annotations

from email.message import EmailMessage

import pytest

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import mail
from tests.unit.ingest import make_documents
from tests.unit.ingest.formats import make_ole

PNG = b"\x89PNG\r\n\x1a\n broken"


def a_mail(subject: str = "Trip", text: str = "We travel.") -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "Ada <ada@example.com>", "b@example.com"
    message["Date"] = "Fri, 17 May 2024 09:30:00 +0200"
    message.set_content(text)
    return message


def attach(message: EmailMessage, name: str, data: bytes, media_type: str = "application/octet-stream") -> None:
    maintype, _, subtype = media_type.partition("/")
    message.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)


def texts(data: bytes) -> list[str]:
    return [block.text for block in mail.parse(data).blocks]


def test_a_mail_says_who_wrote_what_to_whom() -> None:
    parsed = mail.parse(bytes(a_mail("Größe", "One\ntwo.\n\n> quoted\n")))
    assert parsed.title == "Größe"
    assert parsed.blocks == (
        Block("From: Ada <ada@example.com>\nTo: b@example.com\nDate: Fri, 17 May 2024 09:30:00 +0200"),
        Block("One\ntwo."),
        Block("> quoted"),
    )


def test_html_is_read_where_there_is_no_plain_text() -> None:
    message = a_mail()
    message.set_content("<h1>Trip</h1><p>We <b>travel</b>.</p>", subtype="html")
    assert texts(bytes(message))[1:] == ["Trip", "We travel."]
    message.make_alternative()
    message.add_alternative("plain", subtype="plain")
    assert texts(bytes(message))[1:] == ["plain"]


def test_an_attachment_is_read_under_its_name_with_its_pages() -> None:
    message = a_mail()
    attach(message, "rates.bin", make_documents.pdf(["Berlin 180"]))
    assert mail.parse(bytes(message)).blocks[2:] == (
        Block("Attachment: rates.bin", "heading", section=("Attachment: rates.bin",)),
        Block("Berlin 180", section=("Attachment: rates.bin", "Page 1")),
    )


def test_an_attachment_that_cannot_be_read_does_not_cost_the_mail() -> None:
    message = a_mail()
    attach(message, "a.docx", b"PK\x03\x04 broken")
    attach(message, "a.xyz", b"x")
    attach(message, "empty.txt", b"")
    attach(message, "good.txt", b"good")
    found = texts(bytes(message))[2:]
    assert found[0] == "The attachment a.docx could not be read: The Word file is broken and cannot be read."
    assert found[1].startswith("The attachment a.xyz could not be read: a.xyz is of a format")
    assert found[2] == "The attachment empty.txt could not be read: It is not stored in the mail."
    assert found[3:] == ["Attachment: good.txt", "good"]


def test_pictures_that_the_text_shows_are_no_attachments() -> None:
    message = a_mail()
    message.set_content('<p>Text</p><img src="cid:logo">', subtype="html")
    message.add_related(PNG, maintype="image", subtype="png", cid="<logo>")
    message.make_mixed()
    assert texts(bytes(message))[1:] == ["Text"]


def test_a_mail_that_is_only_its_attachment_is_read() -> None:
    message = EmailMessage()
    message["Subject"] = "Scan"
    message.set_content(make_documents.pdf(["Berlin"]), maintype="application", subtype="pdf", filename="scan.pdf")
    assert texts(bytes(message)) == ["Attachment: scan.pdf", "Berlin"]


def test_mails_within_mails_are_read_to_a_depth() -> None:
    message = a_mail("0")
    for number in range(1, mail.MAX_DEPTH + 3):
        outer = a_mail(str(number), f"text {number}")
        outer.add_attachment(message)
        message = outer
    found = texts(bytes(message))
    assert sum(text.startswith("Subject: ") for text in found) == mail.MAX_DEPTH
    assert found[-1] == "The attachment 1 could not be read: The mail has more attachments than are read."


def test_attachments_beyond_the_limits_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    message = a_mail()
    for name in ("a.txt", "b.txt"):
        attach(message, name, b"text of " + name.encode())
    monkeypatch.setattr(mail, "MAX_ATTACHMENTS", 1)
    assert texts(bytes(message))[2:] == [
        "Attachment: a.txt",
        "text of a.txt",
        "The attachment b.txt could not be read: The mail has more attachments than are read.",
    ]


def test_an_outlook_message_is_read_like_a_mail() -> None:
    inner = make_ole.message_storage("Inner", "Inner text", is_embedded=True)
    data = make_ole.outlook_message(
        "Trip",
        "We travel.\r\n\r\n> quoted",
        headers="From: Ada <ada@example.com>\r\nTo: b@example.com\r\nDate: Fri, 17 May 2024 09:30:00 +0200\r\n",
        attachments=[
            make_ole.attached_file("rates.csv", "text/csv", b"City,Limit\nBerlin,180\n" + b"Paris,200\n" * 600),
            make_ole.attached_message(inner),
        ],
    )
    parsed = mail.parse(data)
    assert parsed.title == "Trip"
    assert [block.text[:70] for block in parsed.blocks] == [
        "From: Ada <ada@example.com>\nTo: b@example.com\nDate: Fri, 17 May 2024 0",
        "We travel.",
        "> quoted",
        "Attachment: rates.csv",
        "Berlin | 180" + "\nParis | 200" * 4 + "\nParis | 2",
        "Attachment: Inner",
        "Subject: Inner",
        "Inner text",
    ]


def test_the_html_of_an_outlook_message_is_read_where_there_is_no_plain_text() -> None:
    assert texts(make_ole.outlook_message("x", "", html="<p>Größe</p>".encode())) == ["Größe"]


@pytest.mark.parametrize("data", [b"", b"\n\nno headers", make_ole.compound({"x": b"y"})])
def test_what_is_no_mail_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        mail.parse(data)
