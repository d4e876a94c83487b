from __future__ import annotations

import json

from pipelines.answer.identity import GROUPS_HEADER, TASK_HEADER
from pipelines.answer.offer import DEFAULT_ID
from pipelines.ingest.open_webui_api import FILE_HEADER
from pipelines.native.layout import Layout
from pipelines.native.open_webui import environment
from pipelines.native.postgres import server_url
from tests.unit.native.conftest import MakeSettings


def told(make_settings: MakeSettings, layout: Layout) -> dict[str, str]:
    settings = make_settings(identity_secret="signs-who-is-asking-here")
    return environment(settings, layout, server_url(settings))


def test_the_connection_carries_the_headers_the_gateway_reads(make_settings: MakeSettings, layout: Layout) -> None:
    connection = json.loads(told(make_settings, layout)["OPENAI_API_CONFIGS"])["0"]

    sent = {name.lower(): template for name, template in connection["headers"].items()}
    assert sent[TASK_HEADER] == "{{TASK}}"
    assert sent[GROUPS_HEADER] == "{{USER_GROUP_IDS}}"


def test_the_identity_is_signed_with_the_secret_the_gateway_checks(make_settings: MakeSettings, layout: Layout) -> None:
    variables = told(make_settings, layout)

    assert variables["ENABLE_FORWARD_USER_INFO_HEADERS"] == "true"
    assert variables["FORWARD_USER_INFO_HEADER_JWT_SECRET"] == "signs-who-is-asking-here"


def test_its_own_retrieval_and_tools_stay_off(make_settings: MakeSettings, layout: Layout) -> None:
    capabilities = json.loads(told(make_settings, layout)["DEFAULT_MODEL_METADATA"])["capabilities"]

    assert {name for name, on in capabilities.items() if on} == {
        *("citations", "usage", "status_updates"),
        "file_upload",
    }
    assert {"file_context", "builtin_tools", "web_search", "code_interpreter"} <= set(capabilities)


def test_suggestions_have_the_shape_open_webui_reads(make_settings: MakeSettings, layout: Layout) -> None:
    for suggestion in json.loads(told(make_settings, layout)["DEFAULT_PROMPT_SUGGESTIONS"]):
        assert len(suggestion["title"]) == 2
        assert suggestion["content"].endswith("?")


def test_every_uploaded_file_goes_to_pipelines_under_the_gateways_key(
    make_settings: MakeSettings, layout: Layout
) -> None:
    settings = make_settings(gateway_api_key="the-key-of-the-gateway", max_document_mb=30)
    variables = environment(settings, layout, server_url(settings))

    assert variables["CONTENT_EXTRACTION_ENGINE"] == "external"
    assert variables["EXTERNAL_DOCUMENT_LOADER_URL"] == f"{settings.pipelines_url}/open-webui"
    assert variables["EXTERNAL_DOCUMENT_LOADER_API_KEY"] == "the-key-of-the-gateway"
    headers = json.loads(variables["EXTERNAL_DOCUMENT_LOADER_HEADERS"])
    assert {name.lower(): template for name, template in headers.items()} == {FILE_HEADER: "{{FILE_ID}}"}
    assert variables["RAG_FILE_MAX_SIZE"] == "30"


def test_audio_is_not_transcribed_there(make_settings: MakeSettings, layout: Layout) -> None:
    # empty would mean: all of it
    assert told(make_settings, layout)["AUDIO_STT_SUPPORTED_CONTENT_TYPES"] not in ("", "audio/*")


def test_a_new_chat_begins_with_the_model_that_the_gateway_offers(make_settings: MakeSettings, layout: Layout) -> None:
    assert told(make_settings, layout)["DEFAULT_MODELS"] == DEFAULT_ID
