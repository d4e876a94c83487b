"""What n8n's own Bedrock node signs its calls with: AWS' chain of credentials goes in, static keys or none come out."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.stores.aws import aws_session, refusing_setup

DEFAULT_REGION = "us-east-1"
"""Stands in n8n's credential where no region is known: n8n 2.40 evaluates it for each answer, whoever gives it."""

SHORT_LIVED = (
    "n8n's own Bedrock node takes static keys only, and those of this machine are short-lived: its questions for "
    "Bedrock go to Ragline's router instead, which takes any (or give n8n a role: credential type AWS Assume Role)."
)
NO_KEYS = (
    "There are no AWS credentials for n8n's own Bedrock node: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "use the workflow answer-question, where a role or a profile will do."
)

NO_REGION = "n8n's own Bedrock node has to know the AWS region: set AWS_REGION. Until then Ragline's router is asked."


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """Where Bedrock is asked, and with which key.

    `endpoint` is empty for AWS' own. `lacking`: why there is no key, as a sentence; n8n's node then refuses.
    """

    region: str = DEFAULT_REGION
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    endpoint: str = ""
    lacking: str = ""


def static_aws_access(region: str) -> AwsAccess:
    """The static keys and the Bedrock endpoint that boto3 finds here; raises `SetupFailed` for a broken configuration.

    Keys that expire are left out: n8n would go on with them after their end.
    """
    session = aws_session(region, None, None)
    region = session.region_name or DEFAULT_REGION
    with refusing_setup():
        credentials = session.get_credentials()
        endpoint = session.client("bedrock-runtime", region_name=region).meta.endpoint_url
    # of another region's model, n8n makes the address by itself
    own = endpoint if not endpoint.startswith(f"https://bedrock-runtime.{region}.amazonaws.") else ""
    if not (session.region_name or own):
        return AwsAccess(lacking=NO_REGION)  # rather than send questions to a region that nobody has chosen
    if credentials is None:
        return AwsAccess(region, endpoint=own, lacking=NO_KEYS)
    # botocore 1.44 names where it found them; a role, SSO, a process or a token mean keys that expire
    if credentials.method not in ("env", "shared-credentials-file", "config-file") or credentials.token:
        return AwsAccess(region, endpoint=own, lacking=SHORT_LIVED)
    return AwsAccess(region, credentials.access_key, credentials.secret_key, own)
