"""Sets up n8n and Open WebUI, both already running: settings go in, two working neighbours come out.

The same code runs natively, in compose and on ECS, at every start; where nothing has changed it changes nothing.
"""

from __future__ import annotations

from pipelines.answer.offer import DEFAULT_ID
from pipelines.errors import SetupFailed
from pipelines.provision.n8n import N8nTarget, Outcome, provision_n8n, try_workflow
from pipelines.provision.open_webui import OpenWebUI, provision_open_webui
from pipelines.settings import StackSettings


def provision(settings: StackSettings) -> dict[str, Outcome]:
    """Bring both to the state this version ships and return what was done with each workflow.

    Raises:
        SetupFailed: one of them refused or does not answer; says what to do.
    """
    workflows = sorted(path for path in settings.workflows_dir.glob("*.json") if not path.name.startswith("package"))
    if not workflows:
        raise SetupFailed(f"There are no workflows in {settings.workflows_dir}; set WORKFLOWS_DIR.")
    target = n8n_target(settings)
    outcomes = provision_n8n(target, workflows)
    try_workflow(target, settings.workflow_path)
    with open_webui_admin(settings) as open_webui:
        provision_open_webui(open_webui, DEFAULT_ID)
    return outcomes


def n8n_target(settings: StackSettings) -> N8nTarget:
    """Where n8n is and what it must know."""
    return N8nTarget(
        url=settings.n8n_url,
        owner_email=settings.n8n_owner_email,
        owner_password=settings.n8n_owner_password.get_secret_value(),
        api_key_file=settings.n8n_api_key_file,
        pipelines_url=settings.pipelines_url,
        webhook_key=settings.webhook_api_key.get_secret_value(),
        internal_key=settings.internal_api_key.get_secret_value(),
        form_password=settings.upload_form_password.get_secret_value(),
    )


def open_webui_admin(settings: StackSettings) -> OpenWebUI:
    """Open WebUI's administrator, not yet signed in."""
    return OpenWebUI(
        settings.open_webui_url,
        email=settings.open_webui_admin_email,
        password=settings.open_webui_admin_password.get_secret_value(),
    )
