"""The provider that needs no model: a prompt goes in, the sentences of its passages that answer best come out.

quotes → asked → answer_kind → editions → provider
"""

from pipelines.providers.extractive.provider import ExtractiveProvider

__all__ = ["ExtractiveProvider"]
