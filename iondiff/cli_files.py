"""The verbs about files: ``init`` writes a configuration, ``info`` says what a file is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from iondiff.console import console
from iondiff.errors import ConfigError
from iondiff.files import write_atomically

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


def init_command(
    output: Annotated[Path, typer.Argument(help="File to write.")] = Path("config.toml"),
    kind: Annotated[
        str,
        typer.Option(
            help="Kind of study: guest (one atom in a host), dense (an electrolyte by molecular dynamics), "
            "quench (an amorphous model), kmc (a hopping graph and nothing else), training (a potential of all atoms)."
        ),
    ] = "guest",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a commented configuration to start from.

    Example: diffusion-network init config.toml --kind dense
    """
    from iondiff.templates import KINDS

    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; wanted one of {', '.join(KINDS)}")
    if output.exists() and not force:
        raise ConfigError(f"{output} is there already; name another file, or write over it with --force")
    write_atomically(output, KINDS[kind]())
    command = "diffusion-network " + KINDS[kind].command.format(output)
    if as_json:
        print(json.dumps({"file": str(output), "kind": kind, "next": command}))
    else:
        console.print(f"{output}: put your files and numbers in, then: {command}", soft_wrap=True)


def info_command(
    path: Annotated[Path, typer.Argument(help="Potential, network, labels, configuration, run folder, ...")],
    as_json: JsonOption = False,
) -> None:
    """Say what a file is and whether it is sound; exit code 2 where it is not.

    Example: diffusion-network info runs/cu_ta2o5/network.json
    """
    from iondiff.inspection import inspect

    found = inspect(path)
    if as_json:
        record = {"path": str(path), "kind": found.kind, "sound": found.sound, **vars(found)}
        print(json.dumps(record, default=str))
    else:
        table = Table(title=f"{path}: {found.kind}", title_justify="left", show_header=False)
        for name, value in _flat(found.facts):
            table.add_row(name, value)
        table.add_row("sound", "yes" if found.sound else f"no: {found.trouble}")
        console.print(table)
    if not found.sound:
        raise typer.Exit(2)


def print_plan(rows: list[Any], *, as_json: bool) -> None:
    """A dry run's table: what is done, what remains, what it costs."""
    if as_json:
        print(json.dumps([vars(row) for row in rows]))
        return
    table = Table(title="What a run would do", title_justify="left")
    for column in ("stage", "state", "work", "calculator calls", "one process"):
        table.add_column(column, justify="right" if column in ("calculator calls", "one process") else "left")
    for row in rows:
        time = f"{row.seconds / 60:.0f} min" if row.seconds else "-"
        table.add_row(row.name, "done" if row.done else "to do", row.work, str(row.calls or "-"), time)
    console.print(table)


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}: ")
        else:
            rows.append((prefix + name, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return rows
