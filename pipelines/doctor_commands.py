"""The commands that ask whether everything works: each part and each model is asked, and what it said is printed."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from pipelines.command_settings import read_settings
from pipelines.settings import Settings

app = typer.Typer()
# What a server answers is shown as it is: [brackets] and :colons: in it mean nothing.
console = Console(markup=False, emoji=False, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead")]


@app.command()
def doctor(
    parts: Annotated[list[str] | None, typer.Argument(help="Only these, such as bedrock or n8n; none: all")] = None,
    json_output: AsJson = False,
) -> None:
    """Check every part with a real call, and say for each failure the one thing to do.

    Nothing is changed, but that a small object is put into the bucket of UPLOADS_URL and deleted again. A model of
    Bedrock or SageMaker is asked for one token. Exit code 1 when something failed.
    """
    # Imported here: the clients of all vendors are behind it, for which no other command should wait.
    from pipelines.doctor.report import as_json, show
    from pipelines.doctor.run import examined, worst

    found = examined(parts or [])
    if json_output:
        console.print(json.dumps(as_json(found), indent=2), soft_wrap=True)
    else:
        show(found, console)
    raise typer.Exit(worst(found))


@app.command()
def models(
    everything: Annotated[
        bool, typer.Option("--all", help="Also what the AWS account offers in its region, which costs nothing to ask")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """List every model that can be asked: its id in the settings, what it is for, its price, and how it is."""
    from pipelines.doctor.account_models import account_models
    from pipelines.doctor.model_list import list_models
    from pipelines.doctor.model_table import models_as_json, show_models

    settings = read_settings(Settings)
    listed = list_models(settings)
    offered = account_models(settings) if everything else []
    if json_output:
        console.print(json.dumps(models_as_json(listed, offered, settings), indent=2), soft_wrap=True)
    else:
        show_models(listed, offered, settings, console)
