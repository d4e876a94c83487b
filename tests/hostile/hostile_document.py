"""What the collections of hostile documents are made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostileDocument:
    """A document under its file name; its bytes are made when they are needed, the same ones every time.

    `holds` is text that must have been read out of it, where it is only odd and not broken.
    """

    name: str
    make: Callable[[], bytes]
    holds: str = ""


def cut_short(name: str, whole: Callable[[], bytes]) -> Iterator[HostileDocument]:
    """A good document that ends too early, and one with some of its bytes changed."""
    stem, _, suffix = name.rpartition(".")
    for percent in (1, 30, 70, 99):
        yield HostileDocument(f"{stem} cut at {percent}%.{suffix}", lambda percent=percent: _head(whole(), percent))
    for seed in range(3):
        yield HostileDocument(f"{stem} damaged {seed}.{suffix}", lambda seed=seed: _damaged(whole(), seed))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def _head(data: bytes, percent: int) -> bytes:
    return data[: max(len(data) * percent // 100, 1)]


def _damaged(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(max(len(damaged) // 200, 3)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)
