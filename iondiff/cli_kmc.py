"""The verbs that need only a hopping graph: ``kmc`` and ``check``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from rich.table import Table

import kmc
from iondiff.cli_files import JsonOption
from iondiff.console import StageBars, console
from iondiff.errors import FileError
from iondiff.files import file_hash, is_sealed, read_bounded, sealed, write_atomically

_LARGEST = 64 << 20  # bytes of a table

GraphArgument = Annotated[Path, typer.Argument(help="Hopping graph (.json or .graphml).", show_default=False)]


@dataclass(frozen=True)
class _Job:
    """Everything that decides the numbers, so that a resumed run knows its own."""

    graph: str
    method: str
    field: tuple[float, float, float] | None
    charge: float
    walkers: int
    hops: int
    seed: int

    @property
    def identity(self) -> str:
        return hashlib.sha256(json.dumps(self.__dict__, sort_keys=True).encode()).hexdigest()


def kmc_command(
    graph: GraphArgument,
    temperature: Annotated[
        list[float], typer.Option("--temperature", "-T", help="K; give it once for each.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write (.csv).")],
    method: Annotated[
        Literal["exact", "walk"], typer.Option(help="Linear algebra, or kinetic Monte Carlo with error bars.")
    ] = "exact",
    field: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Electric field Ex Ey Ez, V/Å.", show_default=False),
    ] = None,
    charge: Annotated[float, typer.Option(help="Charge of the carrier, e; counts in a field.")] = 1.0,
    walkers: Annotated[int, typer.Option(help="Walkers at each temperature.")] = 1000,
    hops: Annotated[int, typer.Option(help="Hops of each walker.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Same seed, same table.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Diffusivity of a hopping graph at some temperatures, as a table and an activation energy.

    Example: diffusion-network kmc network.json --temperature 300 --temperature 500 --output d.csv
    """
    console.stderr = as_json
    network = kmc.compile_graph(kmc.read_graph(graph))
    job = _Job(file_hash(graph), method, field, charge, walkers, hops, seed)
    kept = output.with_name(output.name + ".unfinished")
    rows = _kept_rows(kept, job) if resume else {}
    walk_file = output.with_name(output.name + ".walk.npz")
    if not resume:
        walk_file.unlink(missing_ok=True)
    with StageBars() as bars:
        for done, kelvin in enumerate(temperature):
            bars("kmc", done, len(temperature))
            if repr(kelvin) not in rows:
                rows[repr(kelvin)] = _row(network, kelvin, job, walk_file)
                walk_file.unlink(missing_ok=True)
                _replace(kept, json.dumps(sealed({"identity": job.identity, "rows": rows})))
        bars("kmc", len(temperature), len(temperature))
    table = pd.DataFrame([rows[repr(kelvin)] for kelvin in temperature])
    _replace(output, table.to_csv(index=False))
    kept.unlink(missing_ok=True)
    if as_json:
        print(json.dumps({"table": str(output), "rows": [rows[repr(kelvin)] for kelvin in temperature]}))
    else:
        _print_table(table, output)


def check_command(
    graph: GraphArgument,
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="K, for the stiffness.")] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """Say whether a hopping graph is sound, what is connected, and from which energy on it leads anywhere.

    Example: diffusion-network check network.json
    """
    network = kmc.compile_graph(kmc.read_graph(graph))
    if as_json:
        print(json.dumps(_checked(graph, network)))
        return
    console.print(f"{graph}: sound, {network.n_sites} sites, {network.n_hops} hops", highlight=False)
    found = kmc.percolation(network)
    table = Table(title="Components", title_justify="left")
    for column in ("sites", "rank", "lowest site, eV", "percolates in 1, 2, 3 directions from, eV"):
        table.add_column(column, justify="right")
    parts = found.components.sort_values("sites", ascending=False, kind="stable")
    for _, part in parts.head(10).iterrows():
        opens = ", ".join(_energy(part[f"energy_{k}"]) for k in (1, 2, 3))
        table.add_row(f"{part['sites']:g}", f"{part['rank']:g}", f"{part['lowest_energy']:.4f}", opens)
    console.print(table)
    if len(parts) > 10:
        console.print(f"... and {len(parts) - 10} smaller components", highlight=False)
    barriers = ", ".join(_energy(barrier) for barrier in found.barriers)
    console.print(f"percolation barriers above the lowest site: {barriers} eV", highlight=False)
    if network.n_hops:
        log_rates = kmc.hop_rates(network, temperature).log_rates / np.log(10)
        console.print(
            f"rates at {temperature:g} K: 10^{log_rates.min():.1f} to 10^{log_rates.max():.1f} Hz, "
            f"a span of {np.ptp(log_rates):.1f} orders of magnitude",
            highlight=False,
        )


def _checked(graph: Path, network: kmc.Network) -> dict[str, Any]:
    """What `check` prints, as plain data."""
    found = kmc.percolation(network)
    parts = found.components.sort_values("sites", ascending=False, kind="stable")
    return {
        "graph": str(graph),
        "sound": True,
        "sites": network.n_sites,
        "hops": network.n_hops,
        "percolates_in": found.rank,
        "percolation_barriers_eV": [float(b) if np.isfinite(b) else None for b in found.barriers],
        "component_sizes": parts["sites"].astype(int).tolist(),
    }


def _row(network: kmc.Network, kelvin: float, job: _Job, walk_file: Path) -> dict[str, Any]:
    """One temperature: isotropic D with error, the tensor, the drift if there is a field."""
    note = ""
    if job.method == "exact":
        solution = kmc.solve(network, kelvin, field=job.field, charge=job.charge)
        tensor, drift, value, error = (
            solution.tensor,
            solution.drift,
            float(np.trace(solution.tensor)) / 3.0,
            0.0,
        )
    else:
        run = kmc.simulate(
            network,
            kelvin,
            job.walkers,
            job.hops,
            seed=job.seed,
            field=job.field,
            charge=job.charge,
            checkpoint=walk_file,
        )
        try:
            estimate = kmc.tracer_diffusivity(run)
        except kmc.NotConvergedError as refusal:
            estimate, note = refusal.estimate, str(refusal)
        value, error = float(estimate.value), float(estimate.error)
        tensor = np.asarray(kmc.tracer_diffusivity(run, tensor=True, check=False).value)
        drift = np.asarray(kmc.measured_drift(run).value)
    row: dict[str, Any] = {"temperature": kelvin, "D": value, "D_error": error, "method": job.method}
    row |= {
        f"D_{a}{b}": float(tensor[i, j]) for i, a in enumerate("xyz") for j, b in enumerate("xyz") if i <= j
    }
    if job.field is not None:
        row |= {f"drift_{a}": float(drift[i]) for i, a in enumerate("xyz")}
    return row | {"note": note}


def _kept_rows(kept: Path, job: _Job) -> dict[str, Any]:
    """Rows that an interrupted run of the same job left behind."""
    if not kept.exists():
        return {}
    try:
        content = json.loads(read_bounded(kept, _LARGEST))
    except (OSError, ValueError, RecursionError):
        content = None
    if not is_sealed(content):
        raise kmc.GraphError(f"{kept} is damaged; remove it and start without --resume")
    if content.get("identity") != job.identity:
        raise kmc.GraphError(f"{kept} belongs to another graph or other settings; start without --resume")
    rows: dict[str, Any] = content["rows"]
    return rows


def _replace(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except FileError as error:
        reason = getattr(error.__cause__, "strerror", error)
        raise kmc.GraphError(
            f"{path} cannot be written ({reason}); name a file in a folder that exists and has room"
        ) from None


def _print_table(table: pd.DataFrame, output: Path) -> None:
    shown = Table(title="Diffusivity", title_justify="left")
    for column in ("T, K", "D, cm²/s", "error", "note"):
        shown.add_column(column, justify="right")
    for row in table.itertuples():
        shown.add_row(f"{row.temperature:g}", f"{row.D:.4e}", f"{row.D_error:.1e}", str(row.note))
    console.print(shown)
    good = table[(table["note"] == "") & (table["D"] > 0)]
    if good["temperature"].nunique() > 1:
        fit = kmc.fit_arrhenius(good)
        console.print(f"activation energy {fit}", highlight=False)
    console.print(f"table: {output}", highlight=False)


def _energy(value: float) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "never"
