"""Which adapter an address opens, and what is said of an address that opens none."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.stores.s3 import s3_client
from pipelines.stores.sources import open_source, open_uploads, source_url
from tests.fakes.aws import REGION, clean_environment

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Client]:
    with clean_environment():
        yield s3_client(region=REGION)


def not_needed() -> S3Client:
    raise AssertionError("a folder needs no client of AWS")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://acme", "s3://acme"),
        ("s3://acme/", "s3://acme"),
        ("s3://acme/docs", "s3://acme/docs"),
        ("s3://acme/docs/2026/", "s3://acme/docs/2026"),
        ("s3://acme/with space/a?b#c", "s3://acme/with space/a?b#c"),
    ],
)
def test_an_address_in_s3_opens_a_bucket(s3: S3Client, given: str, url: str) -> None:
    assert open_source(given, s3=lambda: s3).url == url == source_url(given)
    assert open_source(url, s3=lambda: s3).url == url


@pytest.mark.parametrize("name", ["docs", "100% ours", "two\nlines", "a\ufffdb", "年次"])
def test_a_path_opens_a_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.md").write_text("x")
    url = source_url(str(folder))
    for given in (str(folder), f"{folder}/", str(folder / ".." / name), url, f"{url}/"):
        source = open_source(given, s3=not_needed)
        assert source.url == url
        assert [entry.origin for entry in source.list()] == [f"{url}/a.md"]


def test_the_top_of_a_file_system_is_a_folder() -> None:
    assert source_url("/") == "file://" == open_source("file://", s3=not_needed).url


@pytest.mark.parametrize(
    "given",
    [
        "",
        "s3://",
        "s3:///docs",
        "s3://a",
        "s3://acme docs",
        "https://acme.s3.amazonaws.com/",
        "file://host/docs",
        "a\0b",
    ],
)
def test_any_other_address_is_refused_with_what_is_expected(given: str) -> None:
    with pytest.raises(InvalidRequest, match="give a folder, or s3://bucket/prefix"):
        open_source(given, s3=not_needed)
    with pytest.raises(InvalidRequest):
        source_url(given)
    with pytest.raises(SetupFailed, match="Uploads have no place"):
        open_uploads(given, s3=not_needed)


def test_uploads_are_kept_in_a_folder_or_a_bucket_under_one_address(tmp_path: Path, s3: S3Client) -> None:
    in_folder = open_uploads(tmp_path / "a" / "b", s3=not_needed)
    in_folder.put("upload://a.md", BytesIO(b"x"))
    assert (tmp_path / "a" / "b").is_dir()
    assert open_uploads("s3://acme/uploads", s3=lambda: s3).url == in_folder.url == "upload:"
