"""What is asked of a model: the words, and for whom it is."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.domain import Message
from pipelines.providers.base import GenerateOptions

AS_MODEL_LEAVES_IT = GenerateOptions()


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model.

    `model` is a model id: `<provider>/<model>`, a provider's name for the model it is set up with, or `default`.
    `request_id` is the turn's, by which the gateway finds what became of the call; `user_id` is whom it is charged to.
    `fresh`: a kept answer will not do, because the reader has asked for another one.
    """

    model: str
    messages: tuple[Message, ...]
    options: GenerateOptions = AS_MODEL_LEAVES_IT
    request_id: str = ""
    user_id: str = ""
    fall_back: bool = True
    fresh: bool = False
