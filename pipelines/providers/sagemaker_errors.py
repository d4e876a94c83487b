"""What an error of a SageMaker endpoint means: boto3's exception goes in, an error of this product comes out."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from botocore import exceptions as aws

from pipelines.errors import Busy, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.aws_errors import exception_of, refused_key, retry_after, said_by, unanswered
from pipelines.providers.context_limits import context_too_long, says_too_long
from pipelines.providers.openai_lines import message_of

ACTION = "sagemaker:InvokeEndpointWithResponseStream"

_BUSY = frozenset(
    {"ThrottlingException", "ServiceUnavailable", "ServiceUnavailableException", "ModelNotReadyException"}
)
_BUSY_STATUS = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class SageMakerCall:
    """One call of an endpoint and, where it holds several models, of an inference component."""

    endpoint: str
    component: str
    region: str
    partition: str
    timeout_s: float

    @property
    def model(self) -> str:
        """The second half of the model id."""
        return f"{self.endpoint}/{self.component}" if self.component else self.endpoint

    def error(self, error: Exception) -> RaglineError:
        """What `error` means to the person who reads it."""
        if isinstance(error, aws.ClientError):
            return refused_key(error, "SageMaker") or self._from_code(error)
        return unanswered(
            error,
            service="SageMaker",
            model=self.model,
            piece="an answer",
            region=self.region,
            timeout_s=self.timeout_s,
        )

    def _from_code(self, error: aws.ClientError) -> RaglineError:
        code, said = exception_of(error), said_by(error)
        if code == "AccessDeniedException":
            return ModelUnavailable(f"AWS does not let us use {self.model}: allow {self._permission()} ({said}).")
        if code in _BUSY:
            return Busy(f"SageMaker is busy: {said}.", retry_after=retry_after(error))
        if code == "ValidationError" and "not found" in said.lower():
            return UnknownModel(
                f"SageMaker has no endpoint {self.model} in {self.region} that is in service: "
                f"create it, or set SAGEMAKER_ENDPOINT ({said})."
            )
        if code == "ModelError":
            return self._from_container(error)
        return ModelFailed(f"SageMaker failed to run {self.model}: {said or code}.")

    def _from_container(self, error: aws.ClientError) -> RaglineError:
        status, said = error.response.get("OriginalStatusCode"), _container_said(error)
        if says_too_long(said):
            return context_too_long(self.model, said)
        if status in _BUSY_STATUS:
            return Busy(f"The container of {self.model} is busy: {said}.")
        return ModelFailed(f"The container of {self.model} answered {status or 'nothing'}: {said}.")

    def _permission(self) -> str:
        # The name of an endpoint is in small letters in its ARN.
        place = f"arn:{self.partition}:sagemaker:{self.region}:*"
        arns = [f"{place}:endpoint/{self.endpoint.lower()}"]
        if self.component:
            arns.append(f"{place}:inference-component/{self.component.lower()}")
        return f"{ACTION} on {' and '.join(arns)}"


def _container_said(error: aws.ClientError) -> str:
    original = str(error.response.get("OriginalMessage") or "")
    try:
        found = orjson.loads(original)
    except orjson.JSONDecodeError:
        return original.strip().rstrip(".") or said_by(error)
    return (message_of(found) if isinstance(found, dict) else original).rstrip(".")
