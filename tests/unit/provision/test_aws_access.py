"""Which of this machine's AWS credentials n8n's own Bedrock node is given: boto3's real chain, over real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.provision.aws_access import DEFAULT_REGION, NO_KEYS, NO_REGION, SHORT_LIVED, static_aws_access
from pipelines.settings import AWS_CHAIN

KEY, SECRET = "AKIAEXAMPLE", "the-secret"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any configuration of AWS."""
    for name in (*AWS_CHAIN, "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def test_keys_of_the_environment_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(monkeypatch)
    access = static_aws_access("eu-central-1")
    assert (access.region, access.access_key_id, access.secret_access_key) == ("eu-central-1", KEY, SECRET)
    assert (access.endpoint, access.lacking) == ("", "")
    assert SECRET not in repr(access)


def test_keys_of_the_credentials_file_are_taken(home: Path) -> None:
    (home / "credentials").write_text(f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
    (home / "config").write_text("[default]\nregion=eu-west-1\n")
    access = static_aws_access("")
    assert (access.region, access.access_key_id) == ("eu-west-1", KEY)


def test_an_endpoint_of_ones_own_is_taken_from_where_boto3_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:4566")
    assert static_aws_access("us-east-1").endpoint == "http://127.0.0.1:4566"


def test_no_question_is_sent_to_a_region_that_nobody_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(monkeypatch)
    access = static_aws_access("")
    assert (access.region, access.access_key_id, access.lacking) == (DEFAULT_REGION, "", NO_REGION)


def test_keys_that_expire_stay_out_of_n8n(monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(monkeypatch)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "expires")
    access = static_aws_access("us-east-1")
    assert (access.access_key_id, access.lacking) == ("", SHORT_LIVED)


def test_a_role_stays_out_of_n8n_and_is_not_asked(home: Path) -> None:
    (home / "config").write_text(
        "[default]\nregion=us-east-1\nrole_arn=arn:aws:iam::123456789012:role/answers\nsource_profile=base\n"
    )
    (home / "credentials").write_text(f"[base]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
    access = static_aws_access("")
    assert (access.access_key_id, access.lacking) == ("", SHORT_LIVED)


def test_a_machine_without_credentials_is_told_what_to_set() -> None:
    access = static_aws_access("eu-west-1")
    assert (access.region, access.access_key_id, access.lacking) == ("eu-west-1", "", NO_KEYS)
