"""A model server for tests: Ollama's protocol and OpenAI's, with delays and faults set by the model's name.

    python -m tests.models --port 11434 --parallel 4

What it says, when it says it and how it breaks is in the name (`script.py`); what it saw is at `/mock/stats`.
"""

from tests.models.server import ModelServer, running_model_server

__all__ = ["ModelServer", "running_model_server"]
