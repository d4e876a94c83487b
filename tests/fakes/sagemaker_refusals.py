"""Why SageMaker refuses to invoke an endpoint, in the words in which it does."""

from __future__ import annotations

from typing import Any

import orjson

from tests.fakes.aws_scripts import Performance
from tests.fakes.aws_wire import ACCOUNT, Refusal

NAMESPACE = "com.amazonaws.sagemaker.runtime"
THROTTLED = Refusal(400, "ThrottlingException", "Rate exceeded", message_name="Message", namespace=NAMESPACE)
CRASHED = "EngineCore encountered an issue. See stack trace (above) for the root cause."


def not_found(name: str) -> Refusal:
    return refusal(400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")


def denied(action: str, name: str, region: str) -> Refusal:
    """What AWS says of a role without the permission."""
    return refusal(
        403,
        "AccessDeniedException",
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/ragline/task is not authorized to perform: {action} on resource: "
        f"{endpoint_arn(name, region)} because no identity-based policy allows the {action} action",
    )


def of_script(name: str, performance: Performance, region: str) -> Refusal | None:
    """The error that an endpoint of this name sends in place of an answer."""
    script = performance.script
    if script.fault != "err" or script.fault_after:
        return None
    if "unavailable" in performance.own:
        return refusal(503, "ServiceUnavailable", "The service is currently unavailable.")
    if "internal" in performance.own:
        return refusal(500, "InternalFailure", "An internal failure occurred.")
    if "throttled" in performance.own:
        return of_container(name, 429, "Too many requests", region)
    return of_container(name, 500, CRASHED, region)


def of_container(name: str, status: int, message: str, region: str) -> Refusal:
    """What SageMaker makes of an error that the container answered with."""
    said = orjson.dumps(
        {"object": "error", "message": message, "type": "Error", "param": None, "code": status}
    ).decode()
    group = f"/aws/sagemaker/Endpoints/{name}"
    whose = "client" if status < 500 else "server"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
    return refusal(
        424,
        "ModelError",
        f'Received {whose} error ({status}) from primary with message "{said}". See {console} in account {ACCOUNT} for '
        "more information.",
        OriginalStatusCode=status,
        OriginalMessage=said,
        LogStreamArn=f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}",
    )


def refusal(status: int, code: str, message: str, **more: Any) -> Refusal:
    return Refusal(status, code, message, more=more, message_name="Message", namespace=NAMESPACE)


def endpoint_arn(name: str, region: str) -> str:
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{name.lower()}"
