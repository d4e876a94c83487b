"""Signature Version 4 as AWS checks it: a request and its body go in, the refusal it deserves comes out, if any.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from aiohttp import web

from tests.fakes.aws_wire import Refusal

KEY_ID, SECRET = "test", "test"
EXPIRED_TOKEN = "expired"
SKEW = timedelta(minutes=5)

MISSING = Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
UNKNOWN_KEY = Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
EXPIRED = Refusal(403, "ExpiredTokenException", "The security token included in the request is expired")

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/ ]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(slots=True)
class Keys:
    """Who may sign, and for which region (any, when it is empty). Any session token is good that is not in `expired`.

    The second key is the one of AWS's own examples.
    """

    secrets: dict[str, str] = field(
        default_factory=lambda: {
            KEY_ID: SECRET,
            "AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        }
    )
    expired: set[str] = field(default_factory=lambda: {EXPIRED_TOKEN})
    region: str = ""


def check_signature(request: web.Request, body: bytes, keys: Keys, service: str = "bedrock") -> Refusal | None:
    """Why AWS would refuse the request before reading it, in the order in which AWS looks; None when it is in order."""
    header = request.headers.get("Authorization")
    if not header:
        return MISSING
    signed = _HEADER.fullmatch(header)
    if signed is None or not _must_sign(request) <= set(signed["headers"].split(";")):
        return Refusal(403, "IncompleteSignature", "Authorization header is not a signature of the whole request.")
    if signed["key"] not in keys.secrets:
        return UNKNOWN_KEY
    if request.headers.get("X-Amz-Security-Token") in keys.expired:
        return EXPIRED
    if keys.region and signed["region"] != keys.region:
        return _invalid("Credential should be scoped to a valid region.")
    if signed["service"] != service:
        return _invalid(f"Credential should be scoped to correct service: '{service}'.")
    time = request.headers.get("X-Amz-Date", "")
    if not re.fullmatch(r"\d{8}T\d{6}Z", time):
        return Refusal(403, "IncompleteSignature", "Date must be in ISO-8601 'basic format'.")
    return _check_time(time, signed["date"]) or _check_value(request, body, signed, keys.secrets[signed["key"]])


def signing_region(request: web.Request) -> str:
    """The region for which a request is signed that was found in order."""
    signed = _HEADER.fullmatch(request.headers["Authorization"])
    return signed["region"] if signed else ""


def _must_sign(request: web.Request) -> set[str]:
    return {"host", "x-amz-date"} | {name.lower() for name in request.headers if name.lower().startswith("x-amz-")}


def _check_time(time: str, date: str) -> Refusal | None:
    if not time.startswith(date):
        return _invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{time[:8]}', from '{time}'."
        )
    now = datetime.now(UTC)
    moment = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    if moment < now - SKEW:
        return _invalid(f"Signature expired: {time} is now earlier than {now - SKEW:{_TIME}} ({now:{_TIME}} - 5 min.)")
    if moment > now + SKEW:
        return _invalid(
            f"Signature not yet current: {time} is still later than {now + SKEW:{_TIME}} ({now:{_TIME}} + 5 min.)"
        )
    return None


def _check_value(request: web.Request, body: bytes, signed: re.Match[str], secret: str) -> Refusal | None:
    time = request.headers["X-Amz-Date"]
    scope = f"{signed['date']}/{signed['region']}/{signed['service']}/aws4_request"
    digest = sha256(_canonical(request, body, signed["headers"]).encode()).hexdigest()
    key = _key(secret, signed["date"], signed["region"], signed["service"])
    wanted = hmac.digest(key, f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}".encode(), "sha256").hex()
    if hmac.compare_digest(wanted, signed["signature"]):
        return None
    return _invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details."
    )


def _canonical(request: web.Request, body: bytes, signed: str) -> str:
    path, _, query = request.raw_path.partition("?")
    headers = [f"{name}:{','.join(_values(request, name))}\n" for name in signed.split(";")]
    # The path is encoded once more than it was sent, so that a model's `:` stands as %253A: every service but S3.
    return "\n".join(
        (
            request.method,
            quote(path, safe="/~"),
            "&".join(sorted(query.split("&"))),
            "".join(headers),
            signed,
            sha256(body).hexdigest(),
        )
    )


def _values(request: web.Request, name: str) -> list[str]:
    return [" ".join(value.split()) for value in request.headers.getall(name, [])]


@lru_cache(maxsize=64)
def _key(secret: str, *scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _invalid(message: str) -> Refusal:
    return Refusal(403, "InvalidSignatureException", message)
