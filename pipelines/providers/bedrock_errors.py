"""What an error of Amazon Bedrock means: boto3's exception goes in, an error of this product comes out."""

from __future__ import annotations

from dataclasses import dataclass

from botocore import exceptions as aws

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers import bedrock_models
from pipelines.providers.aws_errors import exception_of, refused_key, retry_after, said_by, unanswered
from pipelines.providers.context_limits import context_too_long, says_too_long

_BUSY = frozenset(
    {"ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException", "ServiceQuotaExceededException"}
)


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
            return refused_key(error, "Bedrock") or self._from_code(error)
        return unanswered(
            error, service="Bedrock", model=self.model, piece=self.piece, region=self.region, timeout_s=self.timeout_s
        )

    def _from_code(self, error: aws.ClientError) -> RaglineError:
        code, said = exception_of(error), said_by(error)
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
        if code in _BUSY:
            return Busy(f"Bedrock is busy: {said}.", retry_after=retry_after(error))
        if code == "ModelTimeoutException":
            return DeadlineExceeded(f"{self.model} took too long for {self.piece}: {said}.")
        if "guardrail identifier" in said.lower():
            return ModelUnavailable(f"Bedrock in {self.region} has no such guardrail: set BEDROCK_GUARDRAIL ({said}).")
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
