"""Who may ask, and as whom."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from pipelines.answer.identity import Identity
from pipelines.domain import User
from pipelines.errors import Unauthorized

SECRET = "s" * 32
IDENTITY = Identity(gateway_key="gateway-key-0001", identity_secret=SECRET, client_key="client-key-00001")


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    now = int(time.time())
    standard = {"iss": "open-webui", "sub": "u1", "name": "Reader", "iat": now, "exp": now + 300}
    return jwt.encode({**standard, **claims}, secret, algorithm=algorithm)


def headers(token: str | None, key: str = "gateway-key-0001", groups: str = "") -> dict[str, str]:
    given = {"authorization": f"Bearer {key}", "x-ragline-groups": groups}
    return given | ({"x-openwebui-user-jwt": token} if token is not None else {})


def test_open_webui_vouches_for_user_and_groups() -> None:
    user = IDENTITY.user(headers(signed(), groups="g1, g%C3%BC2,,"))
    assert user == User(id="u1", groups=("g1", "gü2"), name="Reader")


def test_another_client_is_nobody_whatever_it_claims() -> None:
    assert IDENTITY.user(headers(signed(), key="client-key-00001", groups="g1")) == User(id="")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic gateway-key-0001", "Bearer wrong", "Bearer ü"]
)
def test_a_missing_or_wrong_key_is_refused(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        IDENTITY.user({"authorization": authorization, "x-openwebui-user-jwt": signed()})


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "not.a.token",
        signed(secret="another-secret-of-32-characters!"),
        signed(exp=int(time.time()) - 60),
        signed(iss="somebody"),
        jwt.encode({"sub": "u1", "iss": "open-webui"}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "u1", "iss": "open-webui"}, "", algorithm="none"),
    ],
)
def test_plain_forged_expired_and_unsigned_identities_are_refused(token: str | None) -> None:
    with pytest.raises(Unauthorized, match="signed identity"):
        IDENTITY.user(headers(token))


def test_without_a_client_key_nobody_else_is_admitted() -> None:
    closed = Identity(gateway_key="gateway-key-0001", identity_secret=SECRET)
    with pytest.raises(Unauthorized):
        closed.user(headers(None, key=""))
