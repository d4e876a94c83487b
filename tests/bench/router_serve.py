"""The measured router: a model server's address in, `/llm/v1` on a free port out, as pipelines serves it.

Routes, answer cache, router, admission and provider are the product's. The calls are of no turn that `/retrieve` knows,
so they go past the cache: every one is a call of the model. Left out is what a model call does not touch: retrieval,
documents, the gateway, and the ledger's database.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from pipelines.answer.cache.answer_cache import AnswerCache
from pipelines.answer.generate.model_calls import InProcessModelCalls
from pipelines.answer.generate.router import ModelRouter, Patience, ServedProvider
from pipelines.answer.generate.router_api import router_api
from pipelines.answer.retrievals import Retrievals
from pipelines.app import internal_key
from pipelines.cost import PriceList
from pipelines.error_responses import add_error_handlers
from pipelines.providers.openai_compatible import OpenAICompatibleProvider
from pipelines.settings import Settings
from pipelines.stores.cache import MemoryCache
from tests.bench.child import read_plan
from tests.bench.retrieval_serve import serve_app

RECORDS_BYTES = 2**20
PARALLEL = 1000
"""More than readers: nobody waits for anything but the router."""


def main() -> None:
    """Serve until the parent process ends."""
    plan: dict[str, Any] = read_plan()
    provider = OpenAICompatibleProvider(plan["model_url"])
    router = ModelRouter(
        [ServedProvider(provider, PARALLEL)],
        default="openai",
        queue=PARALLEL,
        patience=Patience(first_token_s=120, idle_s=45),
        calls=InProcessModelCalls(),
        prices=PriceList.load(Settings.model_fields["prices_file"].default),
    )
    app = FastAPI(docs_url=None, redoc_url=None)
    answers = AnswerCache(router, Retrievals(MemoryCache(RECORDS_BYTES)), None)
    app.include_router(router_api(router, internal_key(plan["key"]), answers=answers))
    add_error_handlers(app)
    serve_app(app)


if __name__ == "__main__":
    main()
