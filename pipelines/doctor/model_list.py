"""Every model that can be asked: settings go in; ids, what they are for, what they cost and how they are come out."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import httpx

from pipelines.answer.generate.model_names import QUOTES
from pipelines.answer.offer import ModelOffer
from pipelines.bootstrap_models import offered, open_provider
from pipelines.cost import PriceList
from pipelines.doctor.configured import QUOTES_ID, ConfiguredModel, configured_models
from pipelines.errors import RaglineError
from pipelines.settings import Settings

LIMIT_S = 8.0
"""For one provider to say what it has."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model, by the id that `LLM_CHOICES` and `LLM_FALLBACK` take. Prices in US dollars for a million tokens.

    `state` is "ready", or what is wrong. `shown_as` is its name in Open WebUI's list; empty where it is not in it.
    """

    id: str
    roles: tuple[str, ...]
    state: str
    shown_as: str
    input_usd: float | None = None
    output_usd: float | None = None
    price_read_on: dt.date | None = None
    ends_on: dt.date | None = None


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a provider says it has, or why it says nothing; `set_up` is the model meant by its name alone."""

    models: Sequence[str]
    problem: str = ""
    set_up: str = ""


def list_models(settings: Settings) -> list[ListedModel]:
    """The models that the settings name, then all others that their providers have; raises `SetupFailed`."""
    prices = PriceList.load(settings.prices_file)
    offers = asyncio.run(_offers(settings))
    circuits = _circuits(settings)
    named = _resolved(settings, offers)
    shown = _shown(settings, offers)
    there = [f"{provider}/{model}" for provider, offer in offers.items() for model in offer.models]
    # One that nobody named and that does not answer: what is wrong with it is said all the same.
    silent = [provider for provider, offer in offers.items() if offer.problem and not offer.models]
    asked = {each.id.partition("/")[0] for each in named}
    ids = dict.fromkeys([*(each.id for each in named), *there, *(name for name in silent if name not in asked)])
    roles = {each.id: each.roles for each in named}
    return [
        _priced(
            ListedModel(
                id=model_id,
                roles=roles.get(model_id, ()),
                state=_state(model_id, offers, circuits),
                shown_as=", ".join(shown.get(model_id, ())),
            ),
            prices,
        )
        for model_id in ids
    ]


async def _offers(settings: Settings) -> dict[str, _Offer]:
    providers = settings.model_providers()
    found = await asyncio.gather(*(_offer(settings, provider) for provider in providers))
    return {**dict(zip(providers, found, strict=True)), QUOTES: _Offer(("quotes",), set_up="quotes")}


async def _offer(settings: Settings, name: str) -> _Offer:
    try:
        served = open_provider(settings, name)
    except RaglineError as error:
        return _Offer((), error.message)
    try:
        async with asyncio.timeout(LIMIT_S):
            models = await served.provider.models()
    except RaglineError as error:
        return _Offer((), error.message, served.model)
    except TimeoutError:
        return _Offer((), f"no answer within {LIMIT_S:.0f} s", served.model)
    finally:
        await served.provider.close()
    return _Offer(models, set_up=served.model or next(iter(models), ""))


def _resolved(settings: Settings, offers: Mapping[str, _Offer]) -> list[ConfiguredModel]:
    """The named models; a provider alone is the model that it means now, and `auto` quotes where Ollama has none."""
    roles: dict[str, list[str]] = {}
    for each in configured_models(settings):
        model = each.model or offers.get(each.provider, _Offer(())).set_up
        # No Ollama, and no model named: then it is no default.
        falls_to_quotes = settings.llm_provider == "auto" and not model and each.provider == "ollama"
        model_id = QUOTES_ID if falls_to_quotes else f"{each.provider}/{model}".rstrip("/")
        roles.setdefault(model_id, []).extend(each.roles)
    return [ConfiguredModel(model_id, tuple(dict.fromkeys(each))) for model_id, each in roles.items()]


def _shown(settings: Settings, offers: Mapping[str, _Offer]) -> dict[str, list[str]]:
    """The names in Open WebUI's list, by the id of the model behind each."""
    found: dict[str, list[str]] = {}
    for entry in ModelOffer(choices=offered(settings)).listing():
        choice = str(entry["id"]).partition(":")[2]
        provider, _, model = choice.partition("/")
        if not choice:
            default = next(each for each in _resolved(settings, offers) if "default" in each.roles)
            provider, _, model = default.id.partition("/")
        model = model or offers.get(provider, _Offer(())).set_up
        found.setdefault(f"{provider}/{model}".rstrip("/"), []).append(str(entry["name"]))
    return found


def _state(model_id: str, offers: Mapping[str, _Offer], circuits: Mapping[str, str]) -> str:
    provider, _, model = model_id.partition("/")
    offer = offers.get(provider)
    if offer is None:
        return f"there is no provider {provider!r}"
    if offer.problem:
        return offer.problem
    circuit = circuits.get(model_id) or circuits.get(f"{provider}/")
    if circuit and circuit != "closed":
        return f"set aside by the router ({circuit})"
    # Bedrock and SageMaker have more than they list, which the role may not be allowed to.
    listed = {model, f"{model}:latest"} & {*offer.models}
    if not listed and provider in ("ollama", "openai"):
        return "not there" if provider == "openai" else f"not there: `ollama pull {model}`"
    return "ready" if provider not in ("bedrock", "sagemaker") else "named; `ragline doctor` asks it"


def _circuits(settings: Settings) -> dict[str, str]:
    """The state of each circuit by `<provider>/<model>`, from a running pipelines; nothing where none runs."""
    try:
        answer = httpx.get(
            f"{settings.pipelines_url.rstrip('/')}/llm/v1/providers",
            headers={"x-ragline-key": settings.internal_api_key.get_secret_value()},
            timeout=2,
            trust_env=False,
        )
        reports = answer.json()["data"] if answer.is_success else []
        return {f"{report['provider']}/{report['model']}": str(report["state"]) for report in reports}
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return {}


def _priced(listed: ListedModel, prices: PriceList) -> ListedModel:
    price = prices.find(listed.id)
    if price is None:
        return listed
    return replace(
        listed,
        input_usd=price.input,
        output_usd=price.output,
        price_read_on=price.read_on,
        ends_on=price.ends_on,
    )
