"""SageMaker: the endpoint's name goes in; whether it is in service, and answers with a token, comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.bootstrap_models import open_provider
from pipelines.doctor.aws_access import region_of, sagemaker_control
from pipelines.doctor.bedrock import partition_of
from pipelines.doctor.configured import models_of
from pipelines.doctor.finding import Finding, divided, failed, ok, warning
from pipelines.doctor.iam import Permission, account_of, remedy, vendor_error
from pipelines.errors import Busy, RaglineError
from pipelines.settings import Settings
from pipelines.stores.aws import AWS_ERRORS, DENIED, code_of, unavailable

if TYPE_CHECKING:
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

SERVES = frozenset({"InService", "Updating", "RollingBack", "SystemUpdating"})
"""An endpoint that is updated serves with what it had.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""

LOG = "look at its log in CloudWatch (/aws/sagemaker/Endpoints/…)"


def look_at_sagemaker(settings: Settings) -> Iterator[Finding]:
    """Whether each endpoint is in service, and answers. Who may not describe it but may ask it is fine."""
    region = region_of(settings)
    client = sagemaker_control(settings)
    for endpoint in filter(None, models_of(settings, "sagemaker")):
        finding = _described(client, endpoint, region)
        yield finding or asyncio.run(_asked(settings, endpoint, region))


def _described(client: SageMakerClient, endpoint: str, region: str) -> Finding | None:
    """What is wrong with the endpoint as AWS describes it; None where nothing is, or we may not see it."""
    part = f"sagemaker {endpoint}"
    try:
        answer = client.describe_endpoint(EndpointName=endpoint)
    except AWS_ERRORS as error:
        if code_of(error) in DENIED:
            return None
        if code_of(error) == "ValidationException":
            return failed(
                part, f"there is no endpoint of this name in {region}", "check SAGEMAKER_ENDPOINT and AWS_REGION"
            )
        said = unavailable(error, "SageMaker", permission="sagemaker:DescribeEndpoint").message
        seen, advice = divided(said)
        return failed(part, seen, remedy(error, permission(endpoint, region), region=region) or advice or LOG)
    return _by_status(part, answer)


def _by_status(part: str, answer: DescribeEndpointOutputTypeDef) -> Finding | None:
    status = answer["EndpointStatus"]
    if status in SERVES:
        return None
    if status == "Creating":
        return failed(part, "is being created", "wait: a large model takes ten minutes and more")
    reason = answer.get("FailureReason", "")
    return failed(
        part,
        f"is {status}{f': {reason}' if reason else ''}".rstrip("."),
        f"{LOG}, and create it anew",
    )


async def _asked(settings: Settings, endpoint: str, region: str) -> Finding:
    part = f"sagemaker {endpoint}"
    provider = open_provider(settings, "sagemaker").provider
    try:
        await provider.check(endpoint)
    except Busy as error:
        return warning(part, divided(error.message)[0], "ask again; where it stays so, give it more instances")
    except RaglineError as error:
        seen, advice = divided(error.message)
        account = account_of(str(vendor_error(error) or ""))
        return failed(part, seen, remedy(error, permission(endpoint, region, account), region=region) or advice or LOG)
    finally:
        await provider.close()
    return ok(part, f"is in service{f' in {region}' if region else ''}, and answered with a token")


def permission(endpoint: str, region: str, account: str = "*") -> Permission:
    """What asking an endpoint takes."""
    arn = f"arn:{partition_of(region)}:sagemaker:{region or '*'}:{account}:endpoint/{endpoint.lower()}"
    actions = ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream", "sagemaker:DescribeEndpoint")
    return Permission("RaglineEndpoint", actions, (arn,))
