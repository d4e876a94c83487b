"""Open WebUI: it is signed in to as its administrator, and asked for our models, which it asks pipelines for."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.answer.offer import DEFAULT_ID, ModelOffer
from pipelines.bootstrap_models import offered
from pipelines.doctor.finding import Finding, failed, ok, refused, skipped, warning
from pipelines.doctor.stack import TIMEOUT_S, ask_health, open_webui_part
from pipelines.errors import SetupFailed
from pipelines.provision.open_webui import OpenWebUI
from pipelines.settings import Settings, StackSettings

PART = "open-webui"


def look_at_open_webui(settings: Settings) -> Iterator[Finding]:
    """Whether it is ready."""
    health = ask_health(open_webui_part(settings))
    yield health if isinstance(health, Finding) else ok(PART, f"{settings.open_webui_url} is ready")


def look_at_connection(settings: Settings) -> Iterator[Finding]:
    """Whether the administrator signs in, and sees every model that these settings offer."""
    if not isinstance(settings, StackSettings):
        yield skipped(f"{PART} models", "the administrator's password is not among the settings of this process")
        return
    password = settings.open_webui_admin_password.get_secret_value()
    account = OpenWebUI(
        settings.open_webui_url, email=settings.open_webui_admin_email, password=password, timeout_s=2 * TIMEOUT_S
    )
    try:
        with account as admin:
            shown = admin.model_ids()
    except SetupFailed as error:
        yield _refused(error, settings)
        return
    yield _compared(shown, settings)


def _compared(shown: list[str], settings: Settings) -> Finding:
    if DEFAULT_ID not in shown:
        return failed(
            f"{PART} models",
            f"Open WebUI does not get our models: its connection to {settings.pipelines_url}/v1 fails",
            f"under Admin Panel, Settings, Connections set the URL {settings.pipelines_url}/v1 and the key that "
            "GATEWAY_API_KEY has in .env; or stop the stack and start it again",
        )
    wanted = [str(entry["id"]) for entry in ModelOffer(choices=offered(settings)).listing()]
    missing = [model_id for model_id in wanted if model_id not in shown]
    if missing:
        return warning(
            f"{PART} models",
            f"Open WebUI does not list {', '.join(missing)}",
            "after a change of .env start the stack again",
        )
    return ok(f"{PART} models", f"the administrator signs in and sees {len(wanted)} of our models")


def _refused(error: SetupFailed, settings: StackSettings) -> Finding:
    if "/auths/signin" in error.message:
        return failed(
            f"{PART} models",
            f"Open WebUI does not know {settings.open_webui_admin_email} with OPEN_WEBUI_ADMIN_PASSWORD",
            "set OPEN_WEBUI_ADMIN_EMAIL and OPEN_WEBUI_ADMIN_PASSWORD in .env to what its administrator has",
        )
    return refused(f"{PART} models", error)
