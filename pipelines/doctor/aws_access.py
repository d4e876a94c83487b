"""What AWS is asked by hand: a region goes in, clients bounded in time and the identity that AWS sees come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.doctor.finding import Finding, divided, ok, warning
from pipelines.doctor.iam import Permission, remedy
from pipelines.settings import Settings
from pipelines.stores.aws import AWS_ERRORS, aws_config, aws_session, refusing_setup, unavailable

if TYPE_CHECKING:
    from types_boto3_bedrock.client import BedrockClient
    from types_boto3_sagemaker.client import SageMakerClient

READ_S = 8.0
IDENTITY = Permission("WhoAsks", ("sts:GetCallerIdentity",), ("*",))


def bedrock_control(settings: Settings) -> BedrockClient:
    """The control plane of Bedrock; raises `SetupFailed`."""
    session = aws_session(settings.aws_region, None, None)
    with refusing_setup():
        return session.client("bedrock", config=aws_config(read_timeout_s=READ_S, attempts=1))


def sagemaker_control(settings: Settings) -> SageMakerClient:
    """The control plane of SageMaker; raises `SetupFailed`."""
    session = aws_session(settings.aws_region, None, None)
    with refusing_setup():
        return session.client("sagemaker", config=aws_config(read_timeout_s=READ_S, attempts=1))


def region_of(settings: Settings) -> str:
    """The region that is asked; empty where none is set. Raises `SetupFailed`."""
    return aws_session(settings.aws_region, None, None).region_name or ""


def look_at_identity(settings: Settings) -> Iterator[Finding]:
    """Which identity AWS sees. That it does not say it is only a note: the parts that call AWS are asked themselves."""
    session = aws_session(settings.aws_region, None, None)
    region = session.region_name or ""
    try:
        with refusing_setup():
            client = session.client("sts", config=aws_config(read_timeout_s=READ_S, attempts=1))
        arn = client.get_caller_identity()["Arn"]
    except AWS_ERRORS as error:
        said = unavailable(error, "AWS", permission="sts:GetCallerIdentity").message
        seen, advice = divided(said)
        yield warning("aws identity", seen, remedy(error, IDENTITY, region=region) or advice)
        return
    yield ok("aws identity", f"{arn}{f' in {region}' if region else ''}")
