"""What every client of AWS has in common: how it is made, and what its errors mean to the person who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore import exceptions as aws
from botocore.config import Config
from botocore.parsers import ResponseParserError

from pipelines.errors import SetupFailed, SourceUnavailable

if TYPE_CHECKING:
    from boto3.session import Session

AWS_ERRORS = (aws.BotoCoreError, aws.ClientError, ResponseParserError)
"""Everything that a call may raise."""

NO_CREDENTIALS = (
    *(aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.ProfileNotFound),
    *(aws.NoAuthTokenError, aws.TokenRetrievalError, aws.SSOError, aws.LoginError),
)
"""Errors of a machine that has no credentials, or none that are valid."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403", "Forbidden"})

_BY_CODE = {
    **dict.fromkeys(
        ("NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"),
        "does not exist; check its name and the region.",
    ),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        "cannot be asked: the AWS session has expired; sign in again, or give this process a role.",
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch"),
        "cannot be asked: the access key is refused; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    **dict.fromkeys(
        ("SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "ServiceUnavailable", "503"),
        "is asked too often; it will be asked again later.",
    ),
    **dict.fromkeys(
        ("InternalError", "InternalFailure", "500"),
        "failed within; it will be asked again. On a server of your own, see its log and that its disk is not full.",
    ),
    "RequestTimeTooSkewed": "cannot be asked: the clock of this machine is wrong; set it.",
}
_OTHER_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
_BROKEN_OFF = (aws.ReadTimeoutError, aws.ResponseStreamingError, aws.IncompleteReadError, aws.ConnectionClosedError)
_UNREACHABLE = (aws.ConnectionError, aws.HTTPClientError)


def aws_session(region: str | None, access_key_id: str | None, secret_access_key: str | None) -> Session:
    """Where clients are made; without a key, by AWS' own chain of credentials. Raises `SetupFailed`."""
    # Imported here: it takes 0.4 s, which a stack that keeps nothing in AWS need not wait for.
    from boto3.session import Session

    with refusing_setup():
        return Session(
            aws_access_key_id=access_key_id, aws_secret_access_key=secret_access_key, region_name=region or None
        )


def aws_config(*, read_timeout_s: float, attempts: int, path_style: bool = False) -> Config:
    """Bounded in time and tries. `path_style` is how S3-compatible servers are addressed."""
    compatible = Config(
        s3={"addressing_style": "path"},
        # Newer checksums are unknown to many S3-compatible servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    bounded = Config(
        connect_timeout=5,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=32,
    )
    return bounded.merge(compatible) if path_style else bounded


@contextmanager
def refusing_setup() -> Iterator[None]:
    """Raise `SetupFailed` for what the configuration of AWS lacks."""
    try:
        yield
    except aws.NoRegionError as error:
        raise SetupFailed("No AWS region is set: set AWS_REGION.") from error
    except (aws.BotoCoreError, ValueError) as error:
        raise SetupFailed(f"AWS cannot be used as it is configured: {str(error).rstrip('.')}.") from error


@contextmanager
def translating(what: str, *, permission: str) -> Iterator[None]:
    """Raise `SourceUnavailable` for an error of AWS. `permission` is what the call needs."""
    try:
        yield
    except AWS_ERRORS as error:
        raise unavailable(error, what, permission=permission) from error


def code_of(error: Exception) -> str:
    """The code S3 or SQS answered with; empty when it did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, aws.ClientError) else ""


def unavailable(error: Exception, what: str, *, permission: str) -> SourceUnavailable:
    """The error for a reader: what happened, and what to do about it."""
    return SourceUnavailable(f"{what} {_explain(error, permission)}")


def _explain(error: Exception, permission: str) -> str:
    if isinstance(error, aws.ClientError):
        return _explain_answer(error, permission)
    if isinstance(error, NO_CREDENTIALS):
        return "cannot be asked: there are no valid AWS credentials; give this process a role, or set a key."
    if isinstance(error, _BROKEN_OFF):
        return "broke off in the middle of its answer; it will be asked again."
    if isinstance(error, _UNREACHABLE):
        return "cannot be reached; check the endpoint and the network."
    if isinstance(error, ResponseParserError):
        return "gives an answer that is not AWS' protocol; check the endpoint."
    return f"cannot be asked: {str(error).rstrip('.')}."


def _explain_answer(error: aws.ClientError, permission: str) -> str:
    code = code_of(error)
    if code in DENIED:
        return f"may not be asked: allow {permission}."
    if code in _OTHER_REGION:
        region = _region_of(error)
        return f"is in another region: set AWS_REGION to {region or 'it'}."
    if code in _BY_CODE:
        return _BY_CODE[code]
    said = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    return f"answered {code}: {said}."


def _region_of(error: aws.ClientError) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region", ""))
