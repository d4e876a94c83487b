"""What AWS says when it refuses: its error goes in, the one thing to do comes out, with a statement ready to paste."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from botocore import exceptions as aws

from pipelines.stores.aws import DENIED, NO_CREDENTIALS, code_of

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
BAD_KEY = frozenset(
    {
        *("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch"),
        *("UnrecognizedClientException", "IncompleteSignature", "MissingAuthenticationTokenException"),
    }
)
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException"})
_SKEW_SAID = re.compile(r"signature (expired|not yet current)", re.IGNORECASE)
_SSO = (aws.SSOError, aws.NoAuthTokenError, aws.TokenRetrievalError, aws.LoginError)
_NOT_ENABLED = ("have access to the model", "access to this model", "use case details", "marketplace")
"""Words of a refusal that no policy changes: the account has not been given the model."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a call needs, as a statement of an IAM policy."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]

    def statement(self) -> str:
        """JSON, to be put into the `Statement` list of a policy."""
        fields = {"Sid": self.sid, "Effect": "Allow", "Action": [*self.actions], "Resource": [*self.resources]}
        return json.dumps(fields, indent=2)


def vendor_error(error: BaseException) -> aws.ClientError | aws.BotoCoreError | None:
    """boto3's own error among the causes of one of ours."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, aws.ClientError | aws.BotoCoreError):
        cause = cause.__cause__
    return cause


def remedy(error: BaseException, needs: Permission, *, identity: str = "", region: str = "") -> str:
    """The one thing to do about an error of AWS, or "" where only its own words can tell."""
    found = vendor_error(error)
    if isinstance(found, aws.ClientError):
        return _of_answer(found, needs, identity, region)
    if isinstance(found, aws.ProfileNotFound):
        return "set AWS_PROFILE to a profile of ~/.aws/config: `aws configure list-profiles` names them"
    if isinstance(found, _SSO):
        return "sign in again: `aws sso login`"
    if isinstance(found, NO_CREDENTIALS):
        return "give this process a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(found, aws.NoRegionError):
        return "set AWS_REGION in .env"
    if isinstance(found, aws.ConnectionError | aws.HTTPClientError):
        return f"check AWS_REGION{f' ({region})' if region else ''} and the way out of this network"
    return ""


def _of_answer(error: aws.ClientError, needs: Permission, identity: str, region: str) -> str:
    code = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", ""))
    if code == "RequestTimeTooSkewed" or (code in SKEWED and _SKEW_SAID.search(said)):
        return "set the clock of this machine: `timedatectl set-ntp true`"
    if code in EXPIRED:
        return "the session has expired: `aws sso login`, or renew the key"
    if code in BAD_KEY or code == "InvalidSignatureException":
        return "renew the key: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN must belong together"
    if code in DENIED and any(words in said.lower() for words in _NOT_ENABLED):
        return f"enable the model in Bedrock's console{f' in {region}' if region else ''}, under Model access"
    if code in DENIED:
        whom = identity or _identity_in(said) or "the role of this process"
        return f"add this statement to the policy of {whom}:\n{needs.statement()}"
    return ""


def account_of(text: str) -> str:
    """The account number in an ARN anywhere in a text; "*" where there is none."""
    found = re.search(r"arn:[a-z-]+:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):", text)
    return found[1] if found else "*"


def _identity_in(said: str) -> str:
    found = re.search(r"arn:[a-z-]+:(?:sts|iam)::\d{12}:\S+", said)
    return found[0] if found else ""
