"""Open WebUI 0.12 with its own retrieval: PDFs in, a knowledge base that can be asked over HTTP out.

It runs with what it ships: SQLite, Chroma, its own PDF reader and splitter. Only its embedding model is set, to ours.
Its data folder is kept for the next run of the same release over the same files with the same model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from pipelines.native.open_webui import command
from pipelines.provision.open_webui import OpenWebUI
from pipelines.settings import inherited_environment
from tests.unit.native.parts_for_tests import free_port

EMAIL, PASSWORD = "bench@example.org", "retrieval-bench"
FILLED = "knowledge-base.json"
"""Written last: the id of the knowledge base that holds all files."""
STARTS_WITHIN_S = 180
READS_WITHIN_S = 600
"""One PDF of a hundred pages, embedded chunk by chunk over HTTP."""


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A running Open WebUI with the documents in one knowledge base; `token` signs the administrator's requests.

    `refused` are the documents that it could not read, with why.
    """

    port: int
    token: str
    http: httpx.Client
    collection: str
    refused: dict[str, str]

    def set_hybrid(self, hybrid: bool) -> None:
        """Switch its hybrid search: BM25 beside the vectors, and the best of both ordered by cosine similarity."""
        body = {"ENABLE_RAG_HYBRID_SEARCH": hybrid}
        self.http.post("/api/v1/retrieval/config/update", json=body).raise_for_status()


@contextmanager
def running_open_webui(
    installed: Path, kept_in: Path, *, embeddings_port: int, model: str, files: Sequence[Path]
) -> Iterator[KnowledgeBase]:
    """Start the installed Open WebUI, and fill a knowledge base with the files unless it holds them already.

    `model` identifies the embedding model behind `embeddings_port`.
    """
    port = free_port()
    folder = kept_in / _key(installed, model, files)
    if not (folder / FILLED).exists():
        shutil.rmtree(kept_in, ignore_errors=True)
        folder.mkdir(parents=True)
    with (folder / "open-webui.log").open("wb") as log:
        process = subprocess.Popen(
            command(installed, port),
            cwd=folder,
            env={**inherited_environment(), **_environment(folder, embeddings_port)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url)
            with OpenWebUI(url, email=EMAIL, password=PASSWORD) as account:
                token = account.token
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=url, headers=headers, timeout=READS_WITHIN_S) as http:
                if not (folder / FILLED).exists():
                    (folder / FILLED).write_text(json.dumps(_fill(http, files)), "utf-8")
                yield KnowledgeBase(port, token, http, **json.loads((folder / FILLED).read_text("utf-8")))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def read_place(metadata: dict[str, Any]) -> tuple[str, int]:
    """The document's name and the page of a passage, counted from 1: its PDF reader counts from 0."""
    return str(metadata["name"]), int(metadata["page"]) + 1


def _key(installed: Path, model: str, files: Sequence[Path]) -> str:
    release = sorted(path.name for path in installed.glob("lib/python3*/site-packages/open_webui-*.dist-info"))
    read = [f"{file.name} {file.stat().st_size}" for file in files]
    return hashlib.sha256("\n".join((*release, model, *read)).encode()).hexdigest()[:12]


def _environment(folder: Path, embeddings_port: int) -> dict[str, str]:
    return {
        "DATA_DIR": str(folder),
        "WEBUI_SECRET_KEY": "only-for-this-run",
        "WEBUI_ADMIN_EMAIL": EMAIL,
        "WEBUI_ADMIN_PASSWORD": PASSWORD,
        "WEBUI_ADMIN_NAME": "Benchmark",
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_EMBEDDING_MODEL": "all-MiniLM-L6-v2",
        "RAG_OPENAI_API_BASE_URL": f"http://127.0.0.1:{embeddings_port}/v1",
        "RAG_OPENAI_API_KEY": "unused",
        "RAG_EMBEDDING_BATCH_SIZE": "32",  # the vectors are the same; one at a time only takes longer
        **dict.fromkeys(("OFFLINE_MODE", "FROM_INIT_PY", "HF_HUB_OFFLINE"), "true"),
        **dict.fromkeys(("ENABLE_OLLAMA_API", "ENABLE_OPENAI_API", "ENABLE_VERSION_UPDATE_CHECK"), "false"),
        "ENABLE_PERSISTENT_CONFIG": "false",  # the port of the embedding model is another one in each run
    }


def _wait(url: str) -> None:
    for attempt in Retrying(
        stop=stop_after_delay(STARTS_WITHIN_S), wait=wait_fixed(0.5), retry=retry_if_exception_type(httpx.HTTPError)
    ):
        with attempt:
            httpx.get(f"{url}/health", timeout=5).raise_for_status()


def _fill(http: httpx.Client, files: Sequence[Path]) -> dict[str, Any]:
    knowledge = {"name": "Reports", "description": "What retrieval is measured on"}
    collection = str(_json(http.post("/api/v1/knowledge/create", json=knowledge))["id"])
    refused: dict[str, str] = {}
    for file in files:
        with file.open("rb") as content:
            sent = {"file": (file.name, content, "application/pdf")}
            uploaded = _json(http.post("/api/v1/files/", params={"process_in_background": "false"}, files=sent))
        about = _json(http.get(f"/api/v1/files/{uploaded['id']}"))["data"]
        if about.get("status") == "failed":
            refused[file.name] = str(about.get("error", ""))
        else:
            _json(http.post(f"/api/v1/knowledge/{collection}/file/add", json={"file_id": uploaded["id"]}))
    return {"collection": collection, "refused": refused}


def _json(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer
