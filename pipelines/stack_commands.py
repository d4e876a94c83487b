"""The commands that run once, before or after the parts of a stack in containers: `ragline prepare` and its like."""

from __future__ import annotations

import typer
from rich.console import Console

from pipelines.command_settings import read_settings
from pipelines.settings import Settings, StackSettings

app = typer.Typer()
console = Console()


@app.command()
def check_settings() -> None:
    """Say whether a stack may start with these settings: no placeholder, no weak secret. Connects to nothing."""
    from pipelines.provision.check_settings import check_settings as check

    check(read_settings(StackSettings))
    _say("The settings are complete.")


@app.command()
def prepare() -> None:
    """Make what the parts need before they start: databases, buckets, and what n8n knows its owner by."""
    from pipelines.provision.prepare import prepare as make

    for line in make(read_settings(StackSettings)):
        _say(line)


@app.command()
def pull_model() -> None:
    """Have Ollama fetch the models that the settings name, and say how far it is."""
    from pipelines.provision.pull_model import models_to_pull, pull_models
    from pipelines.provision.pull_progress import reporting

    settings = read_settings(Settings)
    models = models_to_pull(settings)
    if not models:
        _say(f"No model of Ollama is named (LLM_PROVIDER is {settings.llm_provider}), so none is fetched.")
        return
    with reporting(console) as report:
        for model in pull_models(settings.ollama_base_url, models, report):
            _say(f"{model}: is there")


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
