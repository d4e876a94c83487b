"""Bedrock: each model that the settings name is asked for one token; a refusal comes with the permission it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from pipelines.bootstrap_models import open_provider
from pipelines.doctor.aws_access import region_of
from pipelines.doctor.configured import models_of
from pipelines.doctor.finding import Finding, divided, failed, ok, warning
from pipelines.doctor.iam import Permission, account_of, remedy, vendor_error
from pipelines.errors import Busy, RaglineError, UnknownModel
from pipelines.providers.base import ChatProvider
from pipelines.providers.bedrock import ACTIONS
from pipelines.providers.bedrock_models import is_elsewhere, needed_arns, profile_of
from pipelines.settings import Settings

OTHER_MODEL = "ask again; where it stays so, choose another model: `ragline models --all` lists them"


def look_at_bedrock(settings: Settings) -> Iterator[Finding]:
    """Whether each model answers with one token, asked as a question would be."""
    yield from asyncio.run(_bedrock(settings))


async def _bedrock(settings: Settings) -> list[Finding]:
    served = open_provider(settings, "bedrock")
    region = region_of(settings)
    try:
        names = [model or served.model or await _first(served.provider) for model in models_of(settings, "bedrock")]
        found = [_asked(settings, served.provider, model, region) for model in dict.fromkeys(names)]
        return list(await asyncio.gather(*found))
    finally:
        await served.provider.close()


async def _first(provider: ChatProvider) -> str:
    return next(iter(await provider.models()), "")


async def _asked(settings: Settings, provider: ChatProvider, model: str, region: str) -> Finding:
    part = f"bedrock {model}"
    try:
        await provider.check(model)
    except Busy as error:
        return warning(part, divided(error.message)[0], "ask again; where it stays so, request a higher quota")
    except RaglineError as error:
        seen, advice = divided(error.message)
        return failed(part, seen, _todo(settings, error, model, region) or advice or OTHER_MODEL)
    return ok(part, f"answered with a token{f' in {region}' if region else ''}")


def _todo(settings: Settings, error: RaglineError, model: str, region: str) -> str:
    account = account_of(str(vendor_error(error) or ""))
    if isinstance(error, UnknownModel):
        return _other_model(str(vendor_error(error) or error), model, region)
    needs = invoke_permission(model, region, account, guardrail=settings.bedrock_guardrail)
    return remedy(error, needs, region=region)


def _other_model(said: str, model: str, region: str) -> str:
    if "on-demand throughput" in said:
        return f"name its inference profile instead: {profile_of(model, region)}"
    if is_elsewhere(model, region):
        return f"name {profile_of(model, region)}, or set AWS_REGION to one of {model.partition('.')[0]}"
    return f"`ragline models --all` lists what there is in {region or 'the region'}"


def invoke_permission(model: str, region: str, account: str = "*", *, guardrail: str = "") -> Permission:
    """What asking a model takes, with a guardrail where one is named by id or ARN and version.

    A profile may hand the call to any region of its geography:

    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
    """
    arns = needed_arns(model, region=region or "*", partition=partition_of(region))
    resources = [arn.replace(":*:inference-profile", f":{account}:inference-profile") for arn in arns]
    if not guardrail:
        return Permission("RaglineModel", ACTIONS, resources)
    name = guardrail.rpartition(":")[0]
    own = name if name.startswith("arn:") else f"arn:{partition_of(region)}:bedrock:{region}:{account}:guardrail/{name}"
    return Permission("RaglineModel", (*ACTIONS, "bedrock:ApplyGuardrail"), (*resources, own))


def partition_of(region: str) -> str:
    """The first word of ARNs in a region."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
