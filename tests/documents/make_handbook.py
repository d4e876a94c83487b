"""Writes the PDF and DOCX files of the handbook and the clinic from their sources, and the damaged files in `broken/`.

    python tests/documents/make_handbook.py            write them
    python tests/documents/make_handbook.py --check    say which committed files differ; exit 1 if any does

`sources/x.pdf.md` becomes `handbook/x.pdf`, `clinic-sources/x.pdf.md` becomes `clinic/x.pdf`. All other files in
`handbook/` and `clinic/` are written by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from handbook_docx import set_docx
from handbook_pdf import set_pdf
from handbook_source import Source, read_source

HERE = Path(__file__).parent
PASSWORD = "spring-tide"
CLINIC = "Lindmoor Clinics"


def main() -> int:
    """Write or check every generated file; the exit code is 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(description="Write the generated documents of the sample handbook.")
    parser.add_argument("--check", action="store_true", help="write nothing; list the files that differ")
    check = parser.parse_args().check
    stale = stale_files()
    for path, data in stale.items():
        print(f"{'differs' if check else 'wrote'} {path.relative_to(HERE)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return 1 if check and stale else 0


def stale_files() -> dict[Path, bytes]:
    """The generated files that are missing or not what `sources/` says now, with what they should be."""
    files = {**_handbook(), **_clinic(), **_broken()}
    return {path: data for path, data in files.items() if not path.is_file() or path.read_bytes() != data}


def _handbook() -> dict[Path, bytes]:
    sources = HERE / "sources"
    return {
        HERE / "handbook" / path.relative_to(sources).with_suffix(""): _set(path)
        for path in sorted(sources.rglob("*.md"))
    }


def _clinic() -> dict[Path, bytes]:
    return {
        HERE / "clinic" / path.stem: set_pdf(read_source(path.read_text(encoding="utf-8")), publisher=CLINIC)
        for path in sorted((HERE / "clinic-sources").glob("*.md"))
    }


def _set(path: Path) -> bytes:
    source = read_source(path.read_text(encoding="utf-8"))
    return set_pdf(source) if path.stem.endswith(".pdf") else set_docx(source)


def _broken() -> dict[Path, bytes]:
    """One file for each way in which a document cannot be read."""
    note = Source("Mooring plan", "HI-SEC-900 · a document that nobody can read", ())
    whole = set_pdf(note)
    return {
        HERE / "broken" / name: data
        for name, data in {
            "encrypted.pdf": set_pdf(note, password=PASSWORD),
            "truncated.pdf": whole[: len(whole) // 3],
            "empty.txt": b"",
            "not-a-pdf.pdf": b"This is a plain text file that somebody renamed.\n",
            "broken.docx": set_docx(note)[:9000],
        }.items()
    }


if __name__ == "__main__":
    sys.exit(main())
