"""The control planes of Bedrock and SageMaker on the wire: which models, profiles and endpoints there are.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.aws_catalog import MODELS, Model, find, model_arn, profile_arn, profiles
from tests.fakes.aws_gate import Request
from tests.fakes.aws_wire import Refusal, Refused, json_response
from tests.fakes.bedrock_chat import BedrockChat
from tests.fakes.sagemaker import Endpoints
from tests.fakes.sagemaker_refusals import endpoint_arn

_CREATED = "2026-01-01T00:00:00Z"
_CREATED_S = 1767225600
_UNHEALTHY = "The primary container for production variant AllTraffic did not pass the ping health check."
_NO_MODEL = Refusal(
    404, "ResourceNotFoundException", "Could not resolve the foundation model from the model identifier."
)
_NO_PROFILE = Refusal(404, "ResourceNotFoundException", "The provided inference profile identifier does not exist.")


@dataclass(slots=True)
class BedrockControl:
    """What Bedrock lists of its models in the region a request is signed for."""

    chat: BedrockChat

    def add_to(self, app: web.Application) -> None:
        for path, handler in (
            ("/foundation-models", self._models),
            ("/foundation-models/{model}", self._model),
            ("/foundation-model-availability/{model}", self._availability),
            ("/inference-profiles", self._profiles),
            ("/inference-profiles/{profile}", self._profile),
        ):
            app.router.add_get(path, self.chat.gate.route(handler))

    async def _models(self, request: Request) -> web.Response:
        makes, kind = (request.http.query.get(name, "") for name in ("byOutputModality", "byInferenceType"))
        fitting = [
            summary
            for summary in (_summary(model, request.region) for model in MODELS)
            if makes in ("", *summary["outputModalities"]) and kind in ("", *summary["inferenceTypesSupported"])
        ]
        return json_response({"modelSummaries": fitting})

    async def _model(self, request: Request) -> web.Response:
        return json_response({"modelDetails": _summary(_known(request), request.region)})

    async def _availability(self, request: Request) -> web.Response:
        model = _known(request)
        agreed = "NOT_AVAILABLE" if model.id in self.chat.closed else "AVAILABLE"
        return json_response(
            {
                "modelId": model.id,
                "agreementAvailability": {"status": agreed},
                "authorizationStatus": "NOT_AUTHORIZED" if model.id in self.chat.denied else "AUTHORIZED",
                "entitlementAvailability": agreed,
                "regionAvailability": "AVAILABLE",
            }
        )

    async def _profiles(self, request: Request) -> web.Response:
        listed = [_profile(name, model, request.region) for name, model in profiles(request.region).items()]
        return json_response({"inferenceProfileSummaries": listed})

    async def _profile(self, request: Request) -> web.Response:
        name = unquote(request.http.match_info["profile"]).rpartition("/")[2]
        model = profiles(request.region).get(name)
        if model is None:
            raise Refused(_NO_PROFILE)
        return json_response(_profile(name, model, request.region))


@dataclass(slots=True)
class SageMakerControl:
    """What SageMaker says of its endpoints, by the target of a JSON 1.1 request."""

    endpoints: Endpoints

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/", self.endpoints.gate.route(self._target, "sagemaker"))

    async def _target(self, request: Request) -> web.StreamResponse:
        targets: dict[str, Callable[[Request], Awaitable[web.Response]]] = {
            "SageMaker.DescribeEndpoint": self._describe,
            "SageMaker.ListEndpoints": self._list,
        }
        target = targets.get(request.http.headers.get("X-Amz-Target", ""))
        if target is None:
            raise Refused(_json_error("UnknownOperationException", "The requested operation is not supported."))
        return await target(request)

    async def _describe(self, request: Request) -> web.Response:
        name = request.json().get("EndpointName", "")
        status = self.endpoints.status_of(name)
        if status is None:
            arn = endpoint_arn(name, request.region)
            raise Refused(_json_error("ValidationException", f'Could not find endpoint "{arn}".'))
        failed = {"FailureReason": _UNHEALTHY}
        about = _about(name, status, request.region) | (failed if status == "Failed" else {})
        variant = {"VariantName": "AllTraffic", "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}
        return _json_1_1({**about, "EndpointConfigName": name, "ProductionVariants": [variant]})

    async def _list(self, request: Request) -> web.Response:
        listed = [_about(name, status, request.region) for name, status in self.endpoints.status.items()]
        return _json_1_1({"Endpoints": listed})


def _known(request: Request) -> Model:
    model = find(unquote(request.http.match_info["model"]), request.region).model
    if model is None:
        raise Refused(_NO_MODEL)
    return model


def _summary(model: Model, region: str) -> dict[str, Any]:
    on_demand = bool({"*", region}.intersection(model.on_demand))
    kinds = (["ON_DEMAND"] if on_demand else []) + (["INFERENCE_PROFILE"] if model.geographies else [])
    return {
        "modelArn": model_arn(model.id, region),
        "modelId": model.id,
        "modelName": model.name,
        "providerName": model.maker.capitalize(),
        "inputModalities": list(model.reads),
        "outputModalities": ["EMBEDDING" if model.makes == "EMBEDDING" else "TEXT"],
        "responseStreamingSupported": model.makes == "TEXT",
        "customizationsSupported": [],
        "inferenceTypesSupported": kinds,
        "modelLifecycle": {"status": "ACTIVE"},
    }


def _profile(name: str, model: Model, region: str) -> dict[str, Any]:
    return {
        "inferenceProfileId": name,
        "inferenceProfileArn": profile_arn(name, region),
        "inferenceProfileName": f"{name.split('.')[0].upper()} {model.name}",
        "description": f"Routes requests to {model.name}.",
        "models": [{"modelArn": model_arn(model.id, region)}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": _CREATED,
        "updatedAt": _CREATED,
    }


def _about(name: str, status: str, region: str) -> dict[str, Any]:
    return {
        "EndpointName": name,
        "EndpointArn": endpoint_arn(name, region),
        "EndpointStatus": status,
        "CreationTime": _CREATED_S,
        "LastModifiedTime": _CREATED_S,
    }


def _json_1_1(body: dict[str, Any]) -> web.Response:
    return json_response(body, headers={"Content-Type": "application/x-amz-json-1.1"})


def _json_error(code: str, message: str) -> Refusal:
    return Refusal(400, code, message, more={"__type": code}, namespace="com.amazonaws.sagemaker")
