"""Reads what a part is told in every deployment: a file of `compose/` goes in, its variables come out."""

from __future__ import annotations

from pathlib import Path

from dotenv import dotenv_values

from pipelines.errors import SetupFailed


def part_variables(file: Path) -> dict[str, str]:
    """Read the variables as they stand there: a `$` means nothing else.

    Raises:
        SetupFailed: the file is not there, or a line of it sets nothing.
    """
    if not file.is_file():
        raise SetupFailed(f"{file} is missing: it belongs to the checkout, get it back with git.")
    values = dotenv_values(file, interpolate=False, encoding="utf-8")
    told = {name: value for name, value in values.items() if value is not None}
    if len(told) < len(values):
        raise SetupFailed(f"{file} has a line without a value: {', '.join(values.keys() - told)}.")
    return told
