"""The verb ``quench``: amorphous models from a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from iondiff.cli_files import JsonOption
from iondiff.cli_road import ConfigArgument, OutputOption, SchedulerOption, SeedOption
from iondiff.console import console

_SHOWN = ("excess_eV", "density_g_cm3", "coordination", "angle_deg", "angle_spread_deg", "defects")


def quench_command(
    config: ConfigArgument,
    output: OutputOption = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one quench in each.")] = 1,
    seed: SeedOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print steps and expected time, and do nothing.")
    ] = False,
    as_json: JsonOption = False,
    scheduler: SchedulerOption = None,
) -> None:
    """Melt, quench at one rate or several, anneal, relax, and describe the glass.

    Started again in the same folder, it goes on where it stopped, to the same glass.

    Example: diffusion-network quench case_studies/amorphous_silicon/quench.toml --output runs/a-si --dry-run
    """
    from iondiff.processes import dask_executor
    from iondiff.quench_config import read_quench_config
    from iondiff.quench_job import plan_quench, quench
    from iondiff.run_folder import RunFolder

    output = output or Path("runs") / config.stem
    settings = read_quench_config(config)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    if dry_run:
        _print_plan(plan_quench(settings), workers, as_json=as_json)
        return
    console.stderr = as_json
    with RunFolder(output), dask_executor(scheduler) as executor:
        reports = quench(settings, output, workers, executor, progress=console.is_terminal)
    if as_json:
        rows = {f"{rate:g}": report.metrics.to_dict("records") for rate, report in reports.items()}
        print(json.dumps(rows))
        return
    _print_reports(reports, output)


def _print_plan(rows: list[Any], workers: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([vars(row) for row in rows]))
        return
    table = Table(title="What a quench would do", title_justify="left")
    for column in ("rate, K/s", "samples", "steps of each", "time of each"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(f"{row.rate_K_per_s:.3g}", str(row.samples), f"{row.steps:,}", _time(row.seconds))
    console.print(table)
    whole = sum(row.samples * row.seconds for row in rows)
    console.print(
        f"all together: {_time(whole)} in one process, about {_time(whole / workers)} in {workers}",
        highlight=False,
    )


def _print_reports(reports: dict[float, Any], output: Path) -> None:
    table = Table("mean ± its error", title="Glasses", title_justify="left")
    for rate in reports:
        table.add_column(f"{rate:.3g} K/s", justify="right")
    table.add_row("samples", *(str(len(report.metrics)) for report in reports.values()))
    averages = [(report.averages(), len(report.metrics)) for report in reports.values()]
    for name in _SHOWN:
        if all(name in rows.index for rows, _ in averages):
            cells = [
                f"{rows.loc[name, 'mean']:.4g}" + (f" ± {rows.loc[name, 'error']:.2g}" if count > 1 else "")
                for rows, count in averages
            ]
            table.add_row(name, *cells)
    console.print(table)
    for file in sorted(output.glob("protocol-*/sample-*/quenched.json")):
        for warning in json.loads(file.read_text(encoding="utf-8"))["warnings"]:
            console.print(f"{file.parent}: {warning}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"glasses, tables and pictures: {output}", highlight=False, soft_wrap=True)


def _time(seconds: float) -> str:
    for size, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.2g} s"
