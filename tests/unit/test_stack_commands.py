"""`ragline check-settings`, `prepare` and `pull-model` as a container runs them: what they print and how they end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import psycopg
import pytest
from psycopg import sql

from pipelines import cli
from pipelines.provision.databases import ServerUrl
from pipelines.settings import StackSettings
from tests.fakes.aws import REGION, AwsServer, aws_server, refusal, wire
from tests.fakes.in_a_thread import in_a_thread
from tests.models import running_model_server

Run = Callable[..., tuple[int, str]]
Environment = pytest.MonkeyPatch


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command with complete settings, changed as is given; returns its exit code and all that it printed."""
    monkeypatch.chdir(tmp_path)
    for name, field in StackSettings.model_fields.items():
        if field.is_required():
            monkeypatch.setenv(name.upper(), secrets.token_hex(16))
    monkeypatch.setenv("DEFAULT_ACCESS", "everyone")
    monkeypatch.setenv("N8N_API_KEY_FILE", str(tmp_path / "provisioned" / "n8n-api-key"))

    def run(command: str, **changed: str | None) -> tuple[int, str]:
        for name, value in changed.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["ragline", command])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def test_complete_settings_are_one_line(run: Run) -> None:
    assert run("check-settings") == (0, "The settings are complete.\n")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"GATEWAY_API_KEY": None}, "GATEWAY_API_KEY is not set; `make env` writes .env"),
        ({"GATEWAY_API_KEY": "change-me"}, "GATEWAY_API_KEY is a placeholder or shorter than 16"),
        ({"N8N_ENCRYPTION_KEY": "change-me"}, "N8N_ENCRYPTION_KEY is a placeholder"),
        ({"POSTGRES_PASSWORD": "short"}, "POSTGRES_PASSWORD is a placeholder or shorter than 16"),
        ({"OPEN_WEBUI_ADMIN_PASSWORD": "admin"}, "OPEN_WEBUI_ADMIN_PASSWORD is a placeholder or shorter than 8"),
        ({"QDRANT_API_KEY": "change-me"}, "QDRANT_API_KEY is a placeholder"),
        ({"QDRANT_API_KEY": "qdrant"}, "QDRANT_API_KEY is shorter than 16"),
        ({"S3_SECRET_ACCESS_KEY": "change-me"}, "OBJECT_STORE_SECRET_KEY is a placeholder"),
        ({"CLIENT_API_KEY": "change-me"}, "CLIENT_API_KEY is a placeholder"),
        ({"DEFAULT_ACCESS": ""}, "DEFAULT_ACCESS must be everyone or nobody"),
        ({"DEFAULT_ACCESS": "change-me"}, "DEFAULT_ACCESS must be everyone or nobody"),
        ({"DATABASE_URL": "mysql://a:b@c/d"}, "DATABASE_URL must begin with postgresql://"),
        ({"DATABASE_URL": "postgresql://ragline@postgres"}, "DATABASE_URL must have the form"),
        (
            {"POSTGRES_PASSWORD": "with/a/slash/in/it", "DATABASE_URL": "postgresql://a:with/a/slash/in/it@b/c"},
            "POSTGRES_PASSWORD may have letters, digits",
        ),
        ({"N8N_OWNER_PASSWORD": "x" * 73}, "N8N_OWNER_PASSWORD is longer than the 72 bytes"),
        ({"LLM_PROVIDER": "openai"}, "LLM_PROVIDER=openai needs OPENAI_BASE_URL"),
        ({"LLM_PROVIDER": "gpt"}, "LLM_PROVIDER Input should be"),
    ],
)
def test_what_is_wrong_with_the_settings_ends_the_start_in_one_line(
    run: Run, changed: dict[str, str | None], says: str
) -> None:
    code, printed = run("check-settings", **changed)

    assert code == 1
    assert says in printed
    assert printed.count("\n") == 1


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


@pytest.fixture
def databases(postgres_server: ServerUrl) -> Iterator[ServerUrl]:
    yield postgres_server
    with psycopg.connect(postgres_server.of("postgres"), autocommit=True) as connection:
        for name in (postgres_server.database, "n8n", "open_webui"):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


@pytest.fixture
def prepare(run: Run, databases: ServerUrl, aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`ragline prepare` with a database and an object store of one's own, changed as is given."""
    own_store = {"S3_ENDPOINT_URL": aws.url, "S3_ACCESS_KEY_ID": "ragline", "S3_SECRET_ACCESS_KEY": "x" * 32}
    for name, value in own_store.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", databases.of(databases.database))
    monkeypatch.setenv("UPLOADS_URL", f"s3://{secrets.token_hex(8)}/uploads")
    return lambda **changed: run("prepare", **changed)


def test_prepares_a_stack_and_changes_nothing_the_second_time(
    prepare: Run, aws: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = secrets.token_hex(8)
    changed = {
        "UPLOADS_URL": f"s3://{bucket}/uploads",
        "DOCUMENT_SOURCES": f"/documents,s3://{bucket}/d,s3://{bucket}2",
    }
    changed["N8N_OWNER_PASSWORD"] = "the-owners-own"

    code, first = prepare(**changed)
    again, second = prepare(**changed)

    assert (code, again) == (0, 0)
    assert "made ragline, n8n, open_webui" in first
    assert f"bucket {bucket}: made" in first and f"bucket {bucket}2: made" in first
    assert "every database is there" in second and f"bucket {bucket}: is there" in second
    assert {bucket, f"{bucket}2"} <= {entry["Name"] for entry in aws.s3.list_buckets()["Buckets"]}
    kept = tmp_path / "provisioned" / "n8n-owner.hash"
    assert bcrypt.checkpw(b"the-owners-own", kept.read_bytes())
    assert kept.stat().st_mode & 0o777 == 0o444


def test_a_bucket_in_a_region_is_made_there(prepare: Run, aws: AwsServer) -> None:
    bucket = secrets.token_hex(8)
    assert prepare(UPLOADS_URL=f"s3://{bucket}/uploads", AWS_REGION=REGION)[0] == 0
    assert aws.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == REGION


def test_a_bucket_is_made_on_a_server_of_ones_own_only(
    prepare: Run, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.url)
    bucket = secrets.token_hex(8)

    code, printed = prepare(S3_ENDPOINT_URL=None, UPLOADS_URL=f"s3://{bucket}/uploads", AWS_REGION=REGION)

    assert code == 1
    assert f"AWS has no bucket {bucket}: make it" in printed
    assert bucket not in {entry["Name"] for entry in aws.s3.list_buckets()["Buckets"]}


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDenied", 403, "may not be asked: allow s3:ListBucket"),
        ("InvalidAccessKeyId", 403, "the access key is refused"),
        ("SignatureDoesNotMatch", 403, "the access key is refused"),
    ],
)
def test_a_bucket_that_is_refused_is_one_line(prepare: Run, aws: AwsServer, code: str, status: int, says: str) -> None:
    with wire(aws.url) as server:
        server.intercept = lambda _method, _path: refusal(status, code)
        ended, printed = prepare(S3_ENDPOINT_URL=server.url)
    assert ended == 1
    assert says in printed.splitlines()[-1]


def test_uploads_in_a_folder_need_no_bucket(prepare: Run, tmp_path: Path) -> None:
    code, printed = prepare(UPLOADS_URL=str(tmp_path))
    assert code == 0
    assert "bucket" not in printed


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"DATABASE_URL": None}, "DATABASE_URL is not set"),
        ({"UPLOADS_URL": "s3://a"}, "names no bucket"),
        ({"N8N_API_KEY_FILE": "/proc/none/n8n-api-key"}, "/proc/none cannot be written"),
        ({"N8N_OWNER_PASSWORD": "x" * 73}, "N8N_OWNER_PASSWORD is longer than the 72 bytes"),
    ],
)
def test_what_stands_in_the_way_of_preparing_is_one_line(
    prepare: Run, changed: dict[str, str | None], says: str
) -> None:
    code, printed = prepare(**changed)

    assert code == 1
    assert says in printed.splitlines()[-1]


def test_the_wrong_password_of_the_database_is_one_line(prepare: Run, databases: ServerUrl) -> None:
    wrong = ServerUrl(databases.host, databases.port, databases.user, "wrong", "ragline")

    code, printed = prepare(DATABASE_URL=wrong.of("ragline"))

    assert code == 1
    assert "check DATABASE_URL or POSTGRES_PASSWORD" in printed
    assert printed.count("\n") == 1


def test_fetches_the_model_that_is_named(run: Run) -> None:
    with in_a_thread(running_model_server) as server:
        server.library.empty = True
        code, printed = run("pull-model", OLLAMA_BASE_URL=server.url, OLLAMA_MODEL="mock-ttft0-itl0-len5")
    assert code == 0
    assert printed.splitlines()[-1] == "mock-ttft0-itl0-len5: is there"


def test_fetches_nothing_for_who_does_not_use_ollama(run: Run) -> None:
    code, printed = run("pull-model", LLM_PROVIDER="bedrock", OLLAMA_MODEL="llama3.2:3b")
    assert (code, printed) == (0, "No model of Ollama is named (LLM_PROVIDER is bedrock), so none is fetched.\n")


def test_a_model_that_does_not_exist_is_one_line(run: Run) -> None:
    with in_a_thread(running_model_server) as server:
        code, printed = run("pull-model", OLLAMA_BASE_URL=server.url, OLLAMA_MODEL="llama9")
    assert code == 1
    assert printed.startswith("ragline: Ollama has no model 'llama9': set OLLAMA_MODEL")
    assert printed.count("\n") == 1
