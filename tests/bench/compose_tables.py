"""What was measured of the stack in containers goes in, the tables that people read come out."""

from __future__ import annotations

from rich.table import Table

from tests.bench.compose_results import Profile
from tests.bench.ingest_tables import plain_table

LLAMA_1B = (
    "No real model ran: `ollama` is its stand-in. What a real one adds, computed from the model's config.json: "
    "llama3.2:1b as Ollama has it (Q8_0) is 1.3 GB of weights; keys and values take 16 layers x 8 heads x 64 numbers x "
    "2 (key, value) x 2 bytes = 32 KiB a token, 128 MB at 4,096 tokens; llama.cpp's buffers take about 0.3 GB (logits "
    "alone: 512 x 128,256 x 4 bytes). Together about 1.7 GB of the 2 GB that compose/minimal.yml allows."
)


def of_services(profile: Profile) -> Table:
    """Memory and processor, a service each."""
    names = ("MB at rest", "MB at 8 chats", "kernel's peak MB", "limit MB", "CPU at rest", "CPU s an answer")
    table = plain_table(f"{profile.name}: {profile.model}", ("service", *names))
    for one in profile.services:
        table.add_row(
            one.name,
            f"{one.rest.working_mb:,.0f}",
            f"{one.load_most_mb:,.0f}",
            f"{one.load.peak_mb:,.0f}",
            f"{one.limit_mb:,.0f}",
            f"{one.rest_cpu_s / profile.rest_s:.1%}",
            f"{one.load_cpu_s / max(1, profile.measured.answers):.3f}",
        )
    table.add_row(
        "all",
        f"{sum(one.rest.working_mb for one in profile.services):,.0f}",
        f"{sum(one.load_most_mb for one in profile.services):,.0f}",
        "",
        f"{profile.limits_mb:,.0f}",
        f"{sum(one.rest_cpu_s for one in profile.services) / profile.rest_s:.1%}",
        f"{sum(one.load_cpu_s for one in profile.services) / max(1, profile.measured.answers):.3f}",
    )
    return table


def of_disk(profile: Profile) -> Table:
    """What lies in the volumes after the sample documents and the chats."""
    table = plain_table("", ("volume", "MB"))
    for volume, size in sorted(profile.volumes_mb.items()):
        table.add_row(volume, f"{size:,.1f}")
    table.add_row("the image of pipelines", f"{profile.image_mb:,.0f}")
    return table


def of_answers(profile: Profile) -> str:
    """How the readers fared, in a line."""
    took = f"{min(profile.answer_s):.0f}-{max(profile.answer_s):.0f} s in {len(profile.answer_s)} runs"
    found = profile.measured
    return (
        f"From `up` to the first cited answer: {profile.first_answer_s:.0f} s ({took}). {found.readers} readers for "
        f"{profile.load_s:.0f} s: {found.answers} answers, {found.rate:.2f} a second, first token p50 "
        f"{found.ttft_p50:.0f} ms, p95 {found.ttft_p95:.0f} ms, {found.failures} failed {' '.join(found.reasons)}"
    )
