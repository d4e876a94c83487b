"""The fake AWS's check of signatures against botocore's own signing, and every way in which a request is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.fakes.aws_models import AwsModels, aws_models_in_a_thread
from tests.fakes.aws_signature import EXPIRED_TOKEN, KEY_ID, SECRET

REGION = "eu-central-1"
PATH = "/model/mock-ttft0-itl0-len1/converse"
PROFILE = f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"
BODY = b'{"messages":[{"role":"user","content":[{"text":"Gr\xc3\xbc\xc3\x9fe"}]}]}'


@pytest.fixture(scope="module")
def server() -> Iterator[AwsModels]:
    with aws_models_in_a_thread(region=REGION) as running:
        yield running


def _signed(
    url: str,
    *,
    key: str = KEY_ID,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    service: str = "bedrock",
    body: bytes | None = BODY,
) -> httpx.Request:
    method = "POST" if body else "GET"
    request = AWSRequest(method, url, {"Content-Type": "application/json"}, body)
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    return httpx.Request(method, url, headers=dict(request.headers.items()), content=body)


def _code(request: httpx.Request) -> tuple[int, str, str]:
    with httpx.Client() as client:
        response = client.send(request)
    code = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    return response.status_code, code, response.json().get("message", "")


@pytest.mark.parametrize(
    ("path", "body", "service"),
    [
        (PATH, BODY, "bedrock"),
        (f"/model/{quote('mock.mock-ttft0-itl0-len1-v1:0', safe='')}/converse", BODY, "bedrock"),
        (f"/model/{quote(PROFILE, safe='')}/converse", BODY, "bedrock"),
        ("/foundation-models?byOutputModality=TEXT&byInferenceType=ON_DEMAND", None, "bedrock"),
        ("/inference-profiles?maxResults=10&type=SYSTEM_DEFINED&a%20b=%C3%BC&empty=", None, "bedrock"),
        ("/endpoints/mock-ttft0-itl0-len1/invocations", b'{"messages":[{"role":"user","content":"Hi"}]}', "sagemaker"),
    ],
)
def test_takes_what_botocore_signs(server: AwsModels, path: str, body: bytes | None, service: str) -> None:
    assert _code(_signed(f"{server.url}{path}", body=body, service=service))[0] == 200


def test_takes_a_session_token(server: AwsModels) -> None:
    assert _code(_signed(f"{server.url}{PATH}", token="of-a-role"))[0] == 200


@pytest.mark.parametrize(
    ("signed", "code", "says"),
    [
        ({"secret": "wrong"}, "InvalidSignatureException", "The request signature we calculated does not match"),
        (
            {"key": "AKIAUNKNOWN"},
            "UnrecognizedClientException",
            "The security token included in the request is invalid",
        ),
        ({"token": EXPIRED_TOKEN}, "ExpiredTokenException", "The security token included in the request is expired"),
        ({"region": "us-east-1"}, "InvalidSignatureException", "Credential should be scoped to a valid region."),
        ({"service": "s3"}, "InvalidSignatureException", "Credential should be scoped to correct service: 'bedrock'."),
    ],
)
def test_refuses_what_is_signed_wrongly(server: AwsModels, signed: dict[str, str], code: str, says: str) -> None:
    status, found, message = _code(_signed(f"{server.url}{PATH}", **signed))  # type: ignore[arg-type]  # only strings
    assert (status, found) == (403, code)
    assert says in message


def _tampered_body(request: httpx.Request) -> httpx.Request:
    return httpx.Request(request.method, request.url, headers=request.headers, content=BODY.replace(b"user", b"User"))


def _tampered_path(request: httpx.Request) -> httpx.Request:
    url = str(request.url).replace("len1", "len2")
    return httpx.Request(request.method, url, headers=request.headers, content=BODY)


def _tampered_token(request: httpx.Request) -> httpx.Request:
    request.headers["X-Amz-Security-Token"] = "added-later"
    return request


def _no_date(request: httpx.Request) -> httpx.Request:
    request.headers["X-Amz-Date"] = "today"
    return request


def _unsigned(request: httpx.Request) -> httpx.Request:
    del request.headers["Authorization"]
    return request


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (_tampered_body, "InvalidSignatureException"),
        (_tampered_path, "InvalidSignatureException"),
        (_tampered_token, "IncompleteSignature"),
        (_no_date, "IncompleteSignature"),
        (_unsigned, "MissingAuthenticationTokenException"),
    ],
)
def test_refuses_what_was_changed_after_signing(
    server: AwsModels, tamper: Callable[[httpx.Request], httpx.Request], code: str
) -> None:
    assert _code(tamper(_signed(f"{server.url}{PATH}")))[:2] == (403, code)


@pytest.mark.parametrize(("minutes", "says"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")])
def test_refuses_a_clock_that_is_off(
    server: AwsModels, monkeypatch: pytest.MonkeyPatch, minutes: int, says: str
) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
    status, code, message = _code(_signed(f"{server.url}{PATH}"))
    assert (status, code) == (403, "InvalidSignatureException")
    assert message.startswith(f"{says}{moment:%Y%m%dT%H%M%SZ}")


def test_refuses_another_day_than_the_signatures(server: AwsModels) -> None:
    request = _signed(f"{server.url}{PATH}")
    request.headers["X-Amz-Date"] = "20150830T123600Z"
    assert "Date in Credential scope does not match" in _code(request)[2]
