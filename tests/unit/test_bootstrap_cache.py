"""Which caches the settings make."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.answer.generate.model_calls import InProcessModelCalls
from pipelines.answer.generate.shared_model_calls import SharedModelCalls
from pipelines.bootstrap_cache import open_caches, open_shared_cache
from pipelines.errors import SetupFailed
from pipelines.settings import Settings
from pipelines.stores.valkey import ValkeyCache


def configured(**values: Any) -> Settings:
    secrets = dict.fromkeys(("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret"), "s" * 32)
    return Settings(_env_file=None, default_access="nobody", **secrets, **values)  # type: ignore[call-arg,arg-type]


async def test_without_a_url_each_process_has_its_own() -> None:
    caches = open_caches(configured())
    assert isinstance(caches.calls, InProcessModelCalls)
    assert caches.kept is not None
    assert caches.shared is None
    await caches.close()


async def test_with_a_url_all_is_shared_and_nothing_connects() -> None:
    caches = open_caches(configured(cache_url="rediss://:secret@cache.invalid:6379"))
    assert isinstance(caches.calls, SharedModelCalls)
    assert isinstance(caches.shared, ValkeyCache)
    await caches.close()


def test_no_room_for_answers_means_that_none_are_kept() -> None:
    assert open_caches(configured(answer_cache_mb=0)).kept is None


def test_a_url_that_cannot_be_read_is_refused_at_the_start() -> None:
    with pytest.raises(SetupFailed, match="CACHE_URL"):
        open_shared_cache(configured(cache_url="https://cache.example.org"))
