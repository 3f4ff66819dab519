"""The sections for looking things up: tables, wall times, versions, configuration."""

from __future__ import annotations

from html import escape

from iondiff.report._files import Run
from iondiff.report._html import Part, frame_table, mapping_table, missing, section, table
from iondiff.report._numbers import duration


def tables_section(run: Run) -> Part:
    """Sites and hops as they stand in their files."""
    body = ""
    for name, frame, caption in (("sites.csv", run.sites, "Sites."), ("hops.csv", run.hops, "Hops.")):
        body += (
            frame_table(frame, caption)
            if frame is not None
            else missing(f"No <code>{name}</code> in this run.")
        )
    return section("tables", "Sites and hops", f'<div class="row">{body}</div>'), {}


def provenance_section(run: Run) -> Part:
    """Wall times, versions, hashes and the configuration."""
    made = missing("No <code>provenance.json</code>: versions and seeds are not known.")
    if run.provenance is not None:
        made = mapping_table(run.provenance.model_dump())
    times = missing("No wall times in <code>summary.json</code>.")
    if run.summary is not None and run.summary.wall_seconds:
        times = _times(run.summary.wall_seconds)
    columns = f"<div><h3>Versions and seeds</h3>{made}</div><div><h3>Wall time</h3>{times}</div>"
    config = f"<h3>Configuration</h3><pre>{escape(run.config)}</pre>"
    return section("provenance", "What made this run", f'<div class="two">{columns}</div>{config}'), {}


def _times(seconds: dict[str, float]) -> str:
    total = sum(seconds.values()) or 1.0
    rows = [
        (
            escape(stage),
            duration(time),
            f'<i class="bar" style="width:{100 * max(time, 0) / total:.1f}%"></i>',
        )
        for stage, time in seconds.items()
    ]
    return table([*rows, ("all", duration(sum(seconds.values())), "")], kind="times")
