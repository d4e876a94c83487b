"""Who asks: a key and a signed identity go in, a `User` comes out.

Two kinds of callers. Open WebUI shows the gateway key and signs the reader's identity (HS256 JWT); the ids of the
reader's groups come in a header of the same connection, so they are as trustworthy as that key. Any other OpenAI
client shows the client key; it is nobody in particular and reads only what is open to everyone.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import jwt

from pipelines.domain import User
from pipelines.errors import Unauthorized

JWT_HEADER = "x-openwebui-user-jwt"
GROUPS_HEADER = "x-ragline-groups"
TASK_HEADER = "x-ragline-task"


@dataclass(frozen=True, slots=True)
class Identity:
    """Verifies callers of the gateway. `client_key` is None where other OpenAI clients are not admitted."""

    gateway_key: str
    identity_secret: str
    client_key: str | None = None

    def admit(self, headers: Mapping[str, str]) -> bool:
        """Check the key alone and return whether it is Open WebUI's; raises `Unauthorized` for any other than ours."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthorized("Send the API key as `Authorization: Bearer <key>`.")
        if same_secret(key, self.gateway_key):
            return True
        if self.client_key and same_secret(key, self.client_key):
            return False
        raise Unauthorized("This API key is not known here; check GATEWAY_API_KEY and the connection in Open WebUI.")

    def user(self, headers: Mapping[str, str]) -> User:
        """Return who asks; raises `Unauthorized` without a valid key or, from Open WebUI, without a valid signature."""
        if not self.admit(headers):
            return User(id="")
        claims = self._verify(headers.get(JWT_HEADER, ""))
        return User(id=str(claims["sub"]), groups=_groups(headers.get(GROUPS_HEADER, "")), name=str(claims["name"]))

    def _verify(self, token: str) -> dict[str, object]:
        # When signing fails, Open WebUI falls back to plain headers that anybody could forge: refuse those.
        if not token:
            raise Unauthorized(
                "The request carries no signed identity; set FORWARD_USER_INFO_HEADER_JWT_SECRET in Open WebUI."
            )
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                self.identity_secret,
                algorithms=["HS256"],
                issuer="open-webui",
                leeway=5,
                options={"require": ["exp", "iat", "sub", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthorized(f"The signed identity is not valid ({error}); sign in to Open WebUI again.") from error
        return {"name": "", **claims}


def same_secret(given: str, expected: str) -> bool:
    """Compare in constant time, whatever characters were sent."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _groups(header: str) -> tuple[str, ...]:
    # Open WebUI joins ids by commas and percent-encodes non-ASCII values.
    return tuple(group for group in (unquote(part).strip() for part in header.split(",")) if group)
