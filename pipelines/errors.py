"""Every error this product raises, as one tree with stable codes.

    RaglineError
    ├── InvalidRequest            400  invalid_request       what was sent cannot be understood
    │   ├── EmptyQuestion         400  empty_question
    │   ├── UnsupportedMediaType  415  unsupported_media_type
    │   ├── RequestTooLarge       413  request_too_large
    │   └── ContextTooLong        400  context_too_long      the prompt is longer than what the model reads
    ├── Unauthorized              401  unauthorized          no key, a wrong key, or no signed identity
    ├── NotFound                  404  not_found
    │   ├── UnknownModel          404  model_not_found
    │   └── UnknownDocument       404  document_not_found
    ├── DocumentRejected          422  document_rejected     a document that cannot be read; says why
    │   ├── UnsupportedFormat     422  unsupported_format
    │   ├── UnreadableDocument    422  unreadable_document
    │   ├── EncryptedDocument     422  encrypted_document
    │   ├── EmptyDocument         422  empty_document
    │   ├── DocumentTooLarge      422  document_too_large    more bytes, pages or unpacked bytes than are read
    │   └── DocumentTooCostly     422  document_too_costly   took more time or memory than one document may
    ├── DocumentHasSource         409  document_has_source   it would come back with the next look at its source
    ├── Busy                      429  busy                  full; carries retry_after
    ├── BudgetSpent               429  budget_spent          the day's money for models; carries retry_after
    ├── Unavailable               503  unavailable           a part of the stack does not answer
    │   ├── WorkflowUnavailable   503  workflow_unavailable
    │   ├── WorkflowFailed        502  workflow_failed
    │   ├── ModelUnavailable      503  model_unavailable
    │   ├── ModelFailed           502  model_failed
    │   ├── StoreUnavailable      503  store_unavailable
    │   └── SourceUnavailable     503  source_unavailable    where documents come from does not answer or refuses
    │       └── DocumentChanged   503  document_changed      it changed while it was read; the next look takes it
    ├── DeadlineExceeded          504  deadline_exceeded
    ├── Cancelled                 499  cancelled             the reader went away
    └── SetupFailed               500  setup_failed          the machine or a setting; says what to do

Adapters translate what their vendor raises into one of these, with the vendor's error as its cause.
The message is one sentence for the person who reads it.
"""

from __future__ import annotations

from typing import ClassVar


class RaglineError(Exception):
    """Base of every error with a stable code.

    Attributes:
        code: stable, machine-readable name.
        status: the HTTP status it is answered with before a stream has begun.
        retry_after: seconds after which the same call may work, where known.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after

    @property
    def kind(self) -> str:
        """The `type` field of an OpenAI error: whose mistake it was."""
        return "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"


class InvalidRequest(RaglineError):
    code, status = "invalid_request", 400


class EmptyQuestion(InvalidRequest):
    code = "empty_question"


class UnsupportedMediaType(InvalidRequest):
    code, status = "unsupported_media_type", 415


class RequestTooLarge(InvalidRequest):
    code, status = "request_too_large", 413


class ContextTooLong(InvalidRequest):
    """`limit_tokens` is the longest prompt the model reads, where the provider says it."""

    code = "context_too_long"

    def __init__(self, message: str, *, limit_tokens: int | None = None) -> None:
        super().__init__(message)
        self.limit_tokens = limit_tokens


class Unauthorized(RaglineError):
    code, status = "unauthorized", 401


class NotFound(RaglineError):
    code, status = "not_found", 404


class UnknownModel(NotFound):
    code = "model_not_found"


class UnknownDocument(NotFound):
    code = "document_not_found"


class DocumentRejected(RaglineError):
    code, status = "document_rejected", 422


class UnsupportedFormat(DocumentRejected):
    code = "unsupported_format"


class UnreadableDocument(DocumentRejected):
    code = "unreadable_document"


class EncryptedDocument(DocumentRejected):
    code = "encrypted_document"


class EmptyDocument(DocumentRejected):
    code = "empty_document"


class DocumentTooLarge(DocumentRejected):
    code = "document_too_large"


class DocumentTooCostly(DocumentRejected):
    code = "document_too_costly"


def document_rejected(code: str, message: str) -> DocumentRejected:
    """The refusal that was recorded under this code."""
    kinds = {kind.code: kind for kind in DocumentRejected.__subclasses__()}
    return kinds.get(code, DocumentRejected)(message)


class DocumentHasSource(RaglineError):
    code, status = "document_has_source", 409


class Busy(RaglineError):
    code, status = "busy", 429


class BudgetSpent(RaglineError):
    code, status = "budget_spent", 429


class Unavailable(RaglineError):
    code, status = "unavailable", 503


class WorkflowUnavailable(Unavailable):
    code = "workflow_unavailable"


class WorkflowFailed(Unavailable):
    code, status = "workflow_failed", 502


class ModelUnavailable(Unavailable):
    """`whole_provider`: no model of the provider can be asked now, for a reason that is not one model's."""

    code = "model_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None, whole_provider: bool = False) -> None:
        super().__init__(message, retry_after=retry_after)
        self.whole_provider = whole_provider


class ModelFailed(Unavailable):
    code, status = "model_failed", 502


class StoreUnavailable(Unavailable):
    code = "store_unavailable"


class SourceUnavailable(Unavailable):
    code = "source_unavailable"


class DocumentChanged(SourceUnavailable):
    code = "document_changed"


class DeadlineExceeded(RaglineError):
    code, status = "deadline_exceeded", 504


class Cancelled(RaglineError):
    code, status = "cancelled", 499


class SetupFailed(RaglineError):
    code, status = "setup_failed", 500
