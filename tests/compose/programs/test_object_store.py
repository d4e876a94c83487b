"""The stand-in for the object store: who is let in, and what is there again after a kill."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from pipelines.stores.s3 import s3_client
from tests.compose.programs.journal import Journal
from tests.compose.programs.object_store import ObjectStore, _Quiet

MB = 2**20


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A store over the journal in `folder`; what moto had in memory is gone when it starts."""
    s3_backends.reset()
    journal = Journal(folder / "journal")
    store = ObjectStore(journal, "ragline", "right")
    store.replay()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        journal.close()


@pytest.mark.parametrize(("key", "secret"), [("ragline", "wrong"), ("other", "right")])
def test_a_wrong_account_is_refused(tmp_path: Path, key: str, secret: str) -> None:
    with running(tmp_path) as url, pytest.raises(ClientError, match=r"403|SignatureDoesNotMatch|InvalidAccessKeyId"):
        s3_client(url, access_key_id=key, secret_access_key=secret).list_buckets()


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        s3 = s3_client(url, access_key_id="ragline", secret_access_key="right")
        s3.create_bucket(Bucket="ragline")
        s3.put_object(
            Bucket="ragline", Key="a b/ü#1?.md", Body=b"text", ContentType="text/markdown", Metadata={"k": "v"}
        )
        s3.put_object(Bucket="ragline", Key="gone", Body=b"text")
        s3.delete_object(Bucket="ragline", Key="gone")
        parts = TransferConfig(multipart_threshold=6 * MB, multipart_chunksize=5 * MB)
        s3.upload_fileobj(io.BytesIO(b"x" * 12 * MB), "ragline", "large", Config=parts)
        before = s3.list_objects_v2(Bucket="ragline")["Contents"]
    with running(tmp_path) as url:
        s3 = s3_client(url, access_key_id="ragline", secret_access_key="right")
        assert s3.list_objects_v2(Bucket="ragline")["Contents"] == before
        found = s3.get_object(Bucket="ragline", Key="a b/ü#1?.md")
        assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"text", "text/markdown", {"k": "v"})
        assert len(s3.get_object(Bucket="ragline", Key="large")["Body"].read()) == 12 * MB


def test_a_change_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        s3_client(url, access_key_id="ragline", secret_access_key="right").create_bucket(Bucket="ragline")
    journal = tmp_path / "journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[:-3])
    with running(tmp_path) as url:
        buckets = s3_client(url, access_key_id="ragline", secret_access_key="right").list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == ["ragline"]
    assert journal.read_bytes() == whole
