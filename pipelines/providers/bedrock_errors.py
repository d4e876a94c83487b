"""What an error of Amazon Bedrock means: boto3's exception goes in, an error of this product comes out."""

from __future__ import annotations

from dataclasses import dataclass

from botocore import exceptions as aws
from urllib3.exceptions import HTTPError, ReadTimeoutError

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers import bedrock_models
from pipelines.providers.context_limits import context_too_long, says_too_long
from pipelines.stores.aws import NO_CREDENTIALS, code_of

_BUSY = frozenset(
    {"ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException", "ServiceQuotaExceededException"}
)
BAD_KEY = frozenset(
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
"""What AWS answers to credentials that it does not know, or no longer."""


@dataclass(frozen=True, slots=True)
class BedrockCall:
    """One call, for sentences about it: `model` was to `job` ("read pages") for `piece` ("a page") in `region`.

    `allow` is the permission it needs; `unfit` are words in lower case with which Bedrock says that the model, rather
    than the request, is the wrong one. With `prompted`, what is too long is a prompt, which can be shortened.
    """

    model: str
    job: str
    piece: str
    region: str | None
    timeout_s: float
    allow: str
    unfit: tuple[str, ...]
    prompted: bool = False

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
        if isinstance(error, aws.ReadTimeoutError | ReadTimeoutError):
            return DeadlineExceeded(f"{self.model} took more than {self.timeout_s:g} s for {self.piece}.")
        if isinstance(error, aws.ConnectionError):
            return ModelUnavailable(
                f"Bedrock cannot be reached in {self.region}; check AWS_REGION and the way out of this network."
            )
        if isinstance(error, aws.HTTPClientError | HTTPError):
            return ModelFailed(f"The connection to Bedrock broke while {self.model} was answering.")
        if isinstance(error, aws.BotoCoreError):
            return ModelUnavailable(f"Bedrock cannot be asked as AWS is configured here: {str(error).rstrip('.')}.")
        return ModelFailed(f"Bedrock sent something for {self.model} that is not its protocol.")

    def _from_code(self, error: aws.ClientError) -> RaglineError:
        code, said = exception_of(error), str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
        if code == "AccessDeniedException" and "access to the model" in said:
            return ModelUnavailable(
                f"This AWS account may not use {self.model} yet: ask for it in Bedrock's console in {self.region}, "
                f"under Model access ({said})."
            )
        if code == "AccessDeniedException":
            return ModelUnavailable(
                f"AWS does not let us use {self.model}: allow {self.allow}, "
                f"and see that Bedrock's console offers the model ({said})."
            )
        if code in BAD_KEY:
            return ModelUnavailable(
                f"AWS refuses the credentials for Bedrock ({said}); sign in again or renew the key."
            )
        if code in _BUSY:
            return Busy(f"Bedrock is busy: {said}.", retry_after=_retry_after(error))
        if code == "ModelTimeoutException":
            return DeadlineExceeded(f"{self.model} took too long for {self.piece}: {said}.")
        if self.prompted and code == "ValidationException" and says_too_long(said):
            return context_too_long(self.model, said)
        if code == "ResourceNotFoundException" or (code == "ValidationException" and self._is_unfit(said)):
            return UnknownModel(
                f"Bedrock cannot {self.job} with {self.model} in {self.region}: {said}.{self._instead(said)}"
            )
        return ModelFailed(f"Bedrock failed to run {self.model}: {said or code}.")

    def _is_unfit(self, said: str) -> bool:
        return any(words in said.lower() for words in self.unfit)

    def _instead(self, said: str) -> str:
        region = self.region or ""
        if "on-demand throughput" in said.lower() or bedrock_models.is_elsewhere(self.model, region):
            return f" Use the inference profile {bedrock_models.profile_of(self.model, region)}."
        return ""


def exception_of(error: Exception) -> str:
    """The code of an error of AWS, spelt alike in an answer (ThrottlingException) and in a stream (throttling…)."""
    code = code_of(error)
    return code[:1].upper() + code[1:]


def _retry_after(error: aws.ClientError) -> float | None:
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if value.isdecimal() else None
