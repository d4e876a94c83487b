"""What uploads do when something goes wrong: cut off, full, damaged, or two at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed, SourceUnavailable
from pipelines.stores.base import SourceEntry, UploadStore
from pipelines.stores.upload_name import upload_id
from pipelines.stores.uploads import S3Uploads, UploadFolder
from tests.fakes.aws import Answer, AwsServer, Wire, aws_server, refusal, wire

ORIGIN = "upload://anna/a.md"


class CutOff(BytesIO):
    """Breaks off after its first bytes, as a full disk or an impatient user does."""

    def __init__(self) -> None:
        super().__init__(bytes(100))
        self._asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._asked += 1
        if self._asked > 1:
            raise OSError(28, "No space left on device")
        return super().read(10)


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


@pytest.fixture(scope="module")
def wired(aws: AwsServer) -> Iterator[Wire]:
    with wire(aws.url) as server:
        yield server


@pytest.fixture
def on_wire(wired: Wire) -> Iterator[Wire]:
    """To the same server, by a way on which the test may interfere."""
    yield wired
    wired.intercept = None


def read(store: UploadStore, entry: SourceEntry) -> bytes:
    into = BytesIO()
    store.read(entry, into, max_bytes=2**20)
    return into.getvalue()


def test_an_upload_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    with pytest.raises(SourceUnavailable, match="No space left"):
        uploads.put(ORIGIN, CutOff())
    assert list(uploads.list()) == []
    assert [path.name for path in tmp_path.rglob("*")] == [".incoming"]


def test_an_upload_that_is_cut_off_leaves_the_earlier_one(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    entry = uploads.put(ORIGIN, BytesIO(b"one"))
    with pytest.raises(SourceUnavailable):
        uploads.put(ORIGIN, CutOff())
    assert list(uploads.list()) == [entry]
    assert read(uploads, entry) == b"one"


@pytest.mark.parametrize("step", ["mkdir", "replace", "fsync"])
def test_an_upload_that_ends_at_any_step_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    for allowed in range(8):
        root = tmp_path / f"{step}-{allowed}"
        uploads = UploadFolder(root)
        left = [allowed]
        where: object = Path if step == "replace" else os
        real = getattr(where, step)

        def stop(*args: object, left: list[int] = left, real: object = real, **more: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*args, **more)  # type: ignore[operator]  # a function

        with monkeypatch.context() as patch:
            patch.setattr(where, step, stop)
            try:
                uploads.put(ORIGIN, BytesIO(b"whole"))
            except Killed:
                confirmed = False
            else:
                confirmed = True
        again = UploadFolder(root)
        found = list(again.list())
        assert [read(again, entry) for entry in found] == [b"whole"] * len(found)
        assert found or not confirmed
        assert read(again, again.put(ORIGIN, BytesIO(b"again"))) == b"again"
    assert confirmed


def test_what_was_left_incoming_is_swept_a_day_later(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    old, new = tmp_path / ".incoming" / "old", tmp_path / ".incoming" / "new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (time.time() - 100_000, time.time() - 100_000))
    uploads.put(ORIGIN, BytesIO(b"one"))
    assert not old.exists()
    assert new.exists()


def test_two_at_once_under_one_name_leave_one_of_them_whole(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    texts = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: uploads.put(ORIGIN, BytesIO(text)), texts))
    (entry,) = uploads.list()
    assert read(uploads, entry) in texts


def test_no_two_revisions_have_the_same_version(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    assert len({uploads.put(ORIGIN, BytesIO(b"one")).version for _ in range(50)}) == 50


def test_only_their_owner_may_look_at_uploads(tmp_path: Path) -> None:
    UploadFolder(tmp_path / "kept").put(ORIGIN, BytesIO(b"one"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "kept").rglob("*"))


def test_a_damaged_origin_stops_the_list(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    uploads.put(ORIGIN, BytesIO(b"one"))
    for damage in (b"upload://another", b"\xff\xfe", b""):
        (tmp_path / upload_id(ORIGIN) / ".origin").write_bytes(damage)
        with pytest.raises(SourceUnavailable, match=r"\.origin is damaged"):
            list(UploadFolder(tmp_path).list())


def test_what_is_no_upload_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / "x").write_text("x")
    (tmp_path / "readme.txt").write_text("x")
    assert list(UploadFolder(tmp_path).list()) == []


def test_a_file_kept_under_an_earlier_name_gives_way(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    uploads.put(ORIGIN, BytesIO(b"one"))
    (tmp_path / upload_id(ORIGIN) / "earlier.md").write_text("x")
    assert [entry.key.name for entry in uploads.list()] == ["a.md"]
    uploads.put(ORIGIN, BytesIO(b"two"))
    assert not (tmp_path / upload_id(ORIGIN) / "earlier.md").exists()


def test_a_place_that_cannot_be_made_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupFailed, match="Uploads cannot be kept"):
        UploadFolder(tmp_path / "file" / "uploads")


@pytest.mark.parametrize("leaves_a_folder", [False, True])
def test_a_place_that_goes_away_is_not_an_empty_one(tmp_path: Path, leaves_a_folder: bool) -> None:
    uploads = UploadFolder(tmp_path / "kept")
    uploads.put(ORIGIN, BytesIO(b"one"))
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    if leaves_a_folder:
        (tmp_path / "kept").mkdir()
    with pytest.raises(SourceUnavailable):
        list(uploads.list())
    with pytest.raises(SourceUnavailable):
        uploads.find(ORIGIN)
    with pytest.raises(SourceUnavailable):
        uploads.put(ORIGIN, BytesIO(b"two"))
    with pytest.raises(SourceUnavailable):
        uploads.delete(ORIGIN)


def test_to_upload_again_repairs_a_damaged_origin(tmp_path: Path) -> None:
    uploads = UploadFolder(tmp_path)
    uploads.put(ORIGIN, BytesIO(b"one"))
    (tmp_path / upload_id(ORIGIN) / ".origin").write_bytes(b"")
    entry = uploads.put(ORIGIN, BytesIO(b"two"))
    assert list(UploadFolder(tmp_path).list()) == [entry]


def test_a_folder_of_uploads_copied_to_a_bucket_is_the_same_source(tmp_path: Path, aws: AwsServer) -> None:
    folder, bucket = UploadFolder(tmp_path), aws.new_bucket()
    origins = [ORIGIN, "upload://bela/b.md", "open-webui://1/Größe.pdf"]
    for origin in origins:
        folder.put(origin, BytesIO(origin.encode()))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            aws.s3.upload_file(str(path), bucket, f"kept/{path.relative_to(tmp_path)}")
    copied = S3Uploads(bucket, "kept", aws.s3)
    assert {entry.origin: read(copied, entry) for entry in copied.list()} == {
        origin: origin.encode() for origin in origins
    }
    assert copied.url == folder.url


def test_a_large_upload_goes_up_in_parts(aws: AwsServer) -> None:
    uploads = S3Uploads(aws.new_bucket(), "", aws.s3)
    data = os.urandom(9 * 2**20)
    entry = uploads.put(ORIGIN, BytesIO(data))
    into = BytesIO()
    uploads.read(entry, into, max_bytes=len(data))
    assert into.getvalue() == data


def test_the_origin_of_an_upload_is_asked_for_once(aws: AwsServer, on_wire: Wire) -> None:
    asked: list[str] = []

    def note(method: str, path: str) -> Answer | None:
        if method == "GET" and path.endswith(".origin"):
            asked.append(path)
        return None

    bucket = aws.new_bucket()
    S3Uploads(bucket, "", aws.s3).put(ORIGIN, BytesIO(b"one"))
    on_wire.intercept = note
    uploads = S3Uploads(bucket, "", on_wire.s3)
    assert list(uploads.list()) == list(uploads.list())
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("method", "action"), [("PUT", "s3:PutObject"), ("DELETE", "s3:DeleteObject"), ("GET", "s3:ListBucket")]
)
def test_a_permission_that_is_missing_is_named(aws: AwsServer, on_wire: Wire, method: str, action: str) -> None:
    bucket = aws.new_bucket()
    S3Uploads(bucket, "kept", aws.s3).put(ORIGIN, BytesIO(b"one"))
    on_wire.intercept = lambda asked, _: refusal(403, "AccessDenied") if asked == method else None
    uploads = S3Uploads(bucket, "kept", on_wire.s3)
    with pytest.raises(SourceUnavailable, match=f"allow {action} on arn:aws:s3:::{bucket}"):
        uploads.put(ORIGIN, BytesIO(b"two"))
        uploads.delete(ORIGIN)
