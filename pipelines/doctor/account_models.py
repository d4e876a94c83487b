"""What an AWS account offers: a region's control plane is asked, and ids that `BEDROCK_MODEL` takes come out."""

from __future__ import annotations

from pipelines.doctor.aws_access import bedrock_control
from pipelines.doctor.iam import Permission, remedy
from pipelines.errors import SetupFailed
from pipelines.settings import Settings
from pipelines.stores.aws import AWS_ERRORS, unavailable

NEEDS = Permission("RaglineModelList", ("bedrock:ListFoundationModels", "bedrock:ListInferenceProfiles"), ("*",))


def account_models(settings: Settings) -> list[str]:
    """The models and inference profiles of the region that stream text, by id.

    Raises `SetupFailed`: AWS does not answer, or does not let us list them; says what to do.
    """
    client = bedrock_control(settings)
    try:
        models = client.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
        pages = client.get_paginator("list_inference_profiles").paginate()
        profiles = [profile for page in pages for profile in page["inferenceProfileSummaries"]]
    except AWS_ERRORS as error:
        said = unavailable(error, "Bedrock's list of models", permission=" and ".join(NEEDS.actions)).message
        todo = remedy(error, NEEDS, region=client.meta.region_name)
        raise SetupFailed(f"{said}\n{todo}" if "\n" in todo else said) from error
    streaming = {model["modelId"]: model for model in models if model.get("responseStreamingSupported")}
    alone = [name for name, model in streaming.items() if "ON_DEMAND" in model.get("inferenceTypesSupported", ())]
    through = [
        profile["inferenceProfileId"]
        for profile in profiles
        if any(each.get("modelArn", "").rpartition("/")[2] in streaming for each in profile["models"])
    ]
    return sorted({*alone, *through})
