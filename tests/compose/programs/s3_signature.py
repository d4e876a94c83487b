"""Signature Version 4 of a request to S3, checked with the one key there is.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import Any

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def refusal(environ: dict[str, Any], key_id: str, secret: str) -> str | None:
    """The code with which S3 would refuse the request; None when it is signed with this key."""
    signed = _SIGNED.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return "AccessDenied"
    if signed["key"] != key_id:
        return "InvalidAccessKeyId"
    scope = f"{signed['date']}/{signed['region']}/s3/aws4_request"
    canonical = sha256(_canonical(environ, signed["headers"]).encode()).hexdigest()
    message = f"AWS4-HMAC-SHA256\n{environ.get('HTTP_X_AMZ_DATE', '')}\n{scope}\n{canonical}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    wanted = hmac.digest(key, message.encode(), "sha256").hex()
    return None if hmac.compare_digest(wanted, signed["signature"]) else "SignatureDoesNotMatch"


def _canonical(environ: dict[str, Any], signed_headers: str) -> str:
    path, _, query = environ["RAW_URI"].partition("?")
    pieces = sorted(piece if "=" in piece else f"{piece}=" for piece in query.split("&") if piece)
    headers = "".join(f"{name}:{_header(environ, name)}\n" for name in signed_headers.split(";"))
    payload = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    return "\n".join((environ["REQUEST_METHOD"], path, "&".join(pieces), headers, signed_headers, payload))


def _header(environ: dict[str, Any], name: str) -> str:
    variable = name.upper().replace("-", "_")
    value = environ.get(variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}", "")
    return " ".join(str(value).split())
