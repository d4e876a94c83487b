"""The models a person may choose from in Open WebUI, and which model stands behind each choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.answer.generate.model_names import QUOTES, title
from pipelines.errors import UnknownModel

DEFAULT_ID = "company-documents"
DEFAULT_NAME = "Company documents"


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """`company-documents` follows the settings; each further choice names its provider or model after a colon.

    `choices` are ids of the router: a provider's name for the model it is set up with, or `<provider>/<model>`.
    """

    choices: tuple[str, ...] = ()
    default_id: str = DEFAULT_ID

    def listing(self) -> list[dict[str, Any]]:
        """The entries of `GET /v1/models`."""
        names = {self.default_id: DEFAULT_NAME}
        for choice in self.choices:
            provider, _, model = choice.partition("/")
            said = title(provider) if provider == QUOTES else f"{title(provider)} {model}".rstrip()
            names[f"{self.default_id}:{choice}"] = f"{DEFAULT_NAME} - {said}"
        return [
            {"id": model_id, "object": "model", "created": 0, "owned_by": "ragline", "name": name}
            for model_id, name in names.items()
        ]

    def resolve(self, model_id: str) -> str:
        """Return the router's model id behind a choice; raises `UnknownModel` for any that is not offered."""
        if model_id == self.default_id:
            return "default"
        chosen = model_id.removeprefix(f"{self.default_id}:")
        if chosen in self.choices and chosen != model_id:
            return chosen
        raise UnknownModel(f"There is no model '{model_id[:100]}' here; choose '{self.default_id}'.")
