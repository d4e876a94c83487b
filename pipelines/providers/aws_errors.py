"""What an error of any AWS service means: boto3's exception goes in, an error of this product comes out."""

from __future__ import annotations

from botocore import exceptions as aws
from urllib3.exceptions import HTTPError, ReadTimeoutError

from pipelines.errors import DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError
from pipelines.stores.aws import NO_CREDENTIALS, code_of

_BAD_KEY = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"),
        *("InvalidSignatureException", "UnrecognizedClientException", "IncompleteSignature"),
        "MissingAuthenticationTokenException",
    }
)


def unanswered(
    error: Exception, *, service: str, model: str, piece: str, region: str | None, timeout_s: float
) -> RaglineError:
    """What it means that a service did not answer, or sent something that is no answer. `piece` is what was asked."""
    if isinstance(error, aws.NoRegionError):
        return ModelUnavailable(f"No AWS region is set for {service}: set AWS_REGION.", whole_provider=True)
    if isinstance(error, NO_CREDENTIALS):
        return ModelUnavailable(
            f"There are no valid AWS credentials for {service}; give this process a role or a key.", whole_provider=True
        )
    if isinstance(error, aws.ReadTimeoutError | ReadTimeoutError):
        return DeadlineExceeded(f"{model} took more than {timeout_s:g} s for {piece}.")
    if isinstance(error, aws.ConnectionError):
        return ModelUnavailable(
            f"{service} cannot be reached in {region}; check AWS_REGION and the way out of this network.",
            whole_provider=True,
        )
    if isinstance(error, aws.HTTPClientError | HTTPError | OSError):
        return ModelFailed(f"The connection to {service} broke while {model} was answering.")
    if isinstance(error, aws.BotoCoreError):
        return ModelUnavailable(f"{service} cannot be asked as AWS is configured here: {str(error).rstrip('.')}.")
    return ModelFailed(f"{service} sent something for {model} that is not its protocol.")


def refused_key(error: Exception, service: str) -> ModelUnavailable | None:
    """What it means that AWS refuses the key with which the request is signed; None where it does not."""
    if not is_refused_key(error):
        return None
    said = said_by(error)
    if "valid region" in said.lower():
        wrong = f"{service} is not asked in the region it is in ({said}): set AWS_REGION."
    else:
        wrong = f"AWS refuses the credentials for {service} ({said}); sign in again or renew the key."
    return ModelUnavailable(wrong, whole_provider=True)


def is_refused_key(error: Exception) -> bool:
    """Whether AWS does not know the key, or no longer."""
    return code_of(error) in _BAD_KEY


def exception_of(error: Exception) -> str:
    """The code of an error of AWS, spelt alike in an answer (ThrottlingException) and in a stream (throttling…)."""
    code = code_of(error)
    return code[:1].upper() + code[1:]


def said_by(error: Exception) -> str:
    """What AWS says about an error, without its full stop."""
    response = error.response if isinstance(error, aws.ClientError) else {}
    return str(response.get("Error", {}).get("Message", "")).rstrip(".")


def retry_after(error: aws.ClientError) -> float | None:
    """When to come back, in seconds, where AWS says so."""
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if value.isdecimal() else None
