"""Hostile plain text, Markdown and HTML."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

from tests.hostile.hostile_document import HostileDocument, cut_short, noise

MB = 2**20
_SAMPLES = ("a. ", "(", ".", "|", "- ", "1) ", "'\"", "A\n", "-\n", "a-\n", "a\n\n", "=", "a\n===\n", "\u0301", "漢")
_MARKS = ("> ", "- ", "[", "![", "*", "_a", "`", "(((((", "|", "# ", "a. ", "<", "<!--", "[a](", "&amp;", "\\")
_NAMES = (
    "n" * 240,
    "-rf",
    "..\\..\\climbs",
    "two\nlines",
    "%2e%2e%2f",
    "a\tb\u200b",
    "$(reboot)",
    "' OR 1=1 --",
    "\u202etxt",
)
_SCRIPTS = {
    "Ελληνικά": "Η άδεια είναι είκοσι ημέρες.",
    "Русский": "Отпуск составляет двадцать дней.",
    "العربية": "الإجازة السنوية عشرون يوما.",
    "עברית": "החופשה היא עשרים ימים.",
    "हिन्दी": "वार्षिक अवकाश बीस दिन का है।",
    "ไทย": "วันลาพักร้อนประจำปีมียี่สิบวัน",
    "日本語": "年次休暇は二十日です。",
    "한국어": "연차 휴가는 이십 일입니다.",
    "emoji 👩🏽‍🚀": "🎉🎉🎉 twenty days 🎉🎉🎉",
    "e\u0301 not composed": "cafe\u0301",
}


def texts() -> Iterator[HostileDocument]:
    yield HostileDocument("empty.txt", lambda: b"")
    yield HostileDocument("only spaces.txt", lambda: b" \n\t\n" * 1000)
    yield HostileDocument("noise.txt", lambda: noise(MB).replace(b"\0", b""))
    yield HostileDocument("NUL bytes.txt", lambda: b"leave\0days\0" * 1000)
    yield HostileDocument("UTF-16 without a mark.txt", lambda: ("Twenty days of leave.\n" * 100).encode("utf-16-le"))
    yield HostileDocument("UTF-16 cut in a pair.txt", lambda: "Twenty 🎉".encode("utf-16")[:-1])
    yield HostileDocument("lone surrogates.txt", lambda: "Twenty \ud800 days \udfff.".encode("utf-8", "surrogatepass"))
    yield HostileDocument("50 MB without a space.txt", lambda: b"a" * (50 * MB))
    yield HostileDocument("4 MB of words.txt", lambda: b"leave " * (4 * MB // 6))
    yield HostileDocument("50 MB of lines.txt", lambda: b"\n" * (50 * MB))
    for sample in _SAMPLES[:4]:
        yield HostileDocument(f"1 MB of {sample}.txt", lambda sample=sample: sample.encode() * (MB // len(sample)))
    for sample in _SAMPLES[4:]:
        name = f"200 kB of {sample.encode('unicode_escape').decode()}.txt"
        yield HostileDocument(name, lambda sample=sample: (sample * 200_000).encode()[:200_000])
    for name, text in _SCRIPTS.items():
        yield HostileDocument(f"{name}.txt", lambda text=text: text.encode(), holds=unicodedata.normalize("NFKC", text))
    for name in _NAMES:
        yield HostileDocument(f"{name}.txt", lambda: b"An odd name.", holds="An odd name.")
    yield from cut_short("good.txt", lambda: "LEAVE\n\nZwanzig Tage für alle, ❝auch❞ für Teilzeit.\n\n".encode() * 100)


def markdown() -> Iterator[HostileDocument]:
    for sample in _MARKS:
        yield HostileDocument(
            f"100 kB of {sample.replace('/', '')}.md", lambda sample=sample: (sample * 100_000).encode()[:100_000]
        )
    yield from cut_short("good.md", lambda: b"# Leave\n\nTwenty days\n\n|a|b|\n|-|-|\n|1|2|\n\n- x\n" * 50)
    yield HostileDocument("a table of pipes.md", lambda: (b"|" * 2000 + b"\n" + b"|-" * 2000 + b"|\n") * 20)
    yield HostileDocument("a wide table.md", lambda: _table(columns=2000, rows=20))
    yield HostileDocument("a long table.md", lambda: _table(columns=8, rows=5_000))
    yield HostileDocument("nested quotes.md", lambda: b"\n".join(b">" * depth + b" deep" for depth in range(1, 500)))
    yield HostileDocument("nested lists.md", lambda: b"\n".join(b"  " * depth + b"- deep" for depth in range(500)))
    yield HostileDocument("nested JSON.md", lambda: b"[" * 100_000 + b"]" * 100_000)
    yield HostileDocument("front matter without end.md", lambda: b"---\ntitle: " + b"a\n" * 100_000)
    yield HostileDocument("nested HTML.md", lambda: b"<div>" * 50_000 + b"deep" + b"</div>" * 50_000)
    yield HostileDocument("reference links.md", lambda: b"[a]: b\n" * 20_000 + b"[a]" * 20_000)


def html() -> Iterator[HostileDocument]:
    yield from cut_short("good.html", lambda: b"<h1>Leave</h1><ul><li>Twenty days</ul><table><tr><td>a</table>" * 50)
    yield HostileDocument("no tags.html", lambda: b"Twenty days of leave.", holds="Twenty")
    yield HostileDocument("only a comment.html", lambda: b"<!-- nothing -->")
    yield HostileDocument("one 50 MB line.html", lambda: b"<p>" + b"Twenty days of leave. " * (50 * MB // 22))
    yield HostileDocument("nested.html", lambda: b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000)
    yield HostileDocument("nested tables.html", lambda: b"<table><tr><td>" * 5_000 + b"deep")
    yield HostileDocument("nested lists.html", lambda: b"<ul><li>deep" * 5_000)
    yield HostileDocument("nested spans.html", lambda: b"<p>" + b"<b><i>" * 20_000 + b"deep")
    yield HostileDocument("100,000 tags.html", lambda: b"<p>a</p>" * 100_000)
    yield HostileDocument("a wide table.html", lambda: _html_table(columns=2000, rows=20))
    yield HostileDocument("a span of a billion.html", lambda: b"<table><tr><td colspan=1000000000>a<td>b</table>")
    yield HostileDocument("an endless attribute.html", lambda: b"<p a='" + b"a" * MB)
    yield HostileDocument("entities.html", lambda: _QUADRATIC_HTML)
    yield HostileDocument("a wrong charset.html", lambda: b"<meta charset=utf-7>+ADw-script+AD4-" + b"\xff\xfe" * 50)
    yield HostileDocument(
        "an unknown charset.html", lambda: b"<meta charset=klingon><p>Twenty days \xff", holds="Twenty"
    )
    yield HostileDocument("a picture.svg.html", lambda: _LAUGHS.encode())
    yield HostileDocument("really JSON.html", lambda: json.dumps([["leave"] * 10] * 1000).encode())


def _table(columns: int, rows: int) -> bytes:
    lines = ["|".join(f"c{column}" for column in range(columns)), "|".join(["-"] * columns)]
    return "\n".join([*lines, *["|".join(["cell"] * columns)] * rows]).encode()


def _html_table(columns: int, rows: int) -> bytes:
    head = b"<tr>" + b"".join(b"<th>c%d" % column for column in range(columns))
    return b"<table>" + head + (b"<tr>" + b"<td>cell" * columns) * rows + b"</table>"


def laughs(root: str) -> str:
    """An XML document of a kilobyte whose entities come to three gigabytes."""
    entities = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY l0 "lol">{entities}]><{root}>&l9;</{root}>'


def quadratic(root: str) -> str:
    """An XML document of a megabyte whose one entity comes to some fifty gigabytes."""
    return f'<!DOCTYPE {root} [<!ENTITY l "{"l" * 500_000}">]><{root}>{"&l;" * 100_000}</{root}>'


_LAUGHS = laughs("svg")
_QUADRATIC_HTML = quadratic("html").encode()
