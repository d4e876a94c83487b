"""What an error of Amazon Bedrock means: boto3's exception goes in, an error of this product comes out."""

from __future__ import annotations

from dataclasses import dataclass

from botocore import exceptions as aws

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.stores.aws import NO_CREDENTIALS, code_of

_BUSY = frozenset(
    {"ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException", "ServiceQuotaExceededException"}
)
_BAD_KEY = frozenset(
    {
        *(
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "InvalidClientTokenId",
            "InvalidSignatureException",
        ),
        *("UnrecognizedClientException", "IncompleteSignature", "MissingAuthenticationTokenException"),
    }
)


@dataclass(frozen=True, slots=True)
class BedrockCall:
    """One call, for sentences about it: `model` was to `job` ("read pages") for `piece` ("a page") in `region`.

    `allow` is the permission it needs; `unfit` are words in lower case with which Bedrock says that the model, rather
    than the request, is the wrong one.
    """

    model: str
    job: str
    piece: str
    region: str | None
    timeout_s: float
    allow: str
    unfit: tuple[str, ...]

    def error(self, error: Exception) -> RaglineError:
        """What `error` means to the person who reads it."""
        if isinstance(error, aws.ClientError):
            return self._from_code(error)
        if isinstance(error, aws.NoRegionError):
            return ModelUnavailable("No AWS region is set for Bedrock: set AWS_REGION.")
        if isinstance(error, NO_CREDENTIALS):
            return ModelUnavailable(
                "There are no valid AWS credentials for Bedrock; give this process a role or a key."
            )
        if isinstance(error, aws.ReadTimeoutError):
            return DeadlineExceeded(f"{self.model} took more than {self.timeout_s:g} s for {self.piece}.")
        if isinstance(error, aws.ConnectionError):
            return ModelUnavailable(
                f"Bedrock cannot be reached in {self.region}; check AWS_REGION and the way out of this network."
            )
        if isinstance(error, aws.HTTPClientError):
            return ModelFailed(f"The connection to Bedrock broke while {self.model} was answering.")
        if isinstance(error, aws.BotoCoreError):
            return ModelUnavailable(f"Bedrock cannot be asked as AWS is configured here: {str(error).rstrip('.')}.")
        return ModelFailed(f"Bedrock sent something for {self.model} that is not its protocol.")

    def _from_code(self, error: aws.ClientError) -> RaglineError:
        code, said = code_of(error), str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
        if code == "AccessDeniedException":
            return ModelUnavailable(
                f"AWS does not let us use {self.model}: allow {self.allow}, "
                f"and see that Bedrock's console offers the model ({said})."
            )
        if code in _BAD_KEY:
            return ModelUnavailable(
                f"AWS refuses the credentials for Bedrock ({said}); sign in again or renew the key."
            )
        if code in _BUSY:
            return Busy(f"Bedrock is busy: {said}.", retry_after=_retry_after(error))
        if code == "ModelTimeoutException":
            return DeadlineExceeded(f"{self.model} took too long for {self.piece}: {said}.")
        if code == "ResourceNotFoundException" or (code == "ValidationException" and self._is_unfit(said)):
            return UnknownModel(f"Bedrock cannot {self.job} with {self.model} in {self.region}: {said}.")
        return ModelFailed(f"Bedrock failed to run {self.model}: {said or code}.")

    def _is_unfit(self, said: str) -> bool:
        return any(words in said.lower() for words in self.unfit)


def _retry_after(error: aws.ClientError) -> float | None:
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if value.isdecimal() else None
