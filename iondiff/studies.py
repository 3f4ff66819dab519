"""Kinds of study beside the guest in a host: a hopping graph alone, and molecular dynamics of dense carriers.

``diffusion-network run`` tells them apart by their tables: ``[host]``, ``[graph]`` or ``[structure]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PositiveFloat

from iondiff.config import RunConfig, read_config
from iondiff.errors import ConfigError
from iondiff.files import read_bounded, write_atomically
from iondiff.tables import Section, read_toml, validate

_LARGEST = 1 << 20  # bytes of a configuration
_Count = Annotated[int, Field(gt=0, le=10_000_000)]
_Temperatures = Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=1000)]
_Repeat = Annotated[int, Field(gt=0, le=1000)]


class GraphSection(Section):
    """The hopping graph: made by a run, or written by hand (docs/formats.md)."""

    file: Path
    """Node-link JSON or GraphML."""


class GraphTransport(Section):
    """Single carriers: exact, and walked."""

    temperatures: _Temperatures = (300.0, 400.0, 500.0, 600.0)
    """K."""
    methods: tuple[Literal["exact", "walk"], ...] = Field(("exact", "walk"), min_length=1)
    """'exact' (linear algebra) and 'walk' (kinetic Monte Carlo)."""
    walkers: _Count = 1000
    """Independent carriers."""
    hops: int = Field(100_000, gt=0, le=10**12)
    """Hops of each walker."""


class CarriersSection(Section):
    """Many carriers at once, which exclude each other; no counts, no lattice gas."""

    counts: tuple[_Count, ...] = Field((), max_length=1000)
    """Carriers in the repeated cell."""
    replicate: tuple[_Repeat, _Repeat, _Repeat] = (1, 1, 1)
    """How often the cell is repeated along each lattice vector."""
    hops: int = Field(1_000_000, gt=0, le=10**12)
    """Hops of all carriers together, at each temperature."""


class GraphStudy(Section):
    """Transport on a hopping graph, and nothing else."""

    seed: int = Field(0, ge=0, lt=2**63)
    """Same seed, same answer, to the last digit."""
    graph: GraphSection
    transport: GraphTransport = GraphTransport()
    carriers: CarriersSection = CarriersSection()


class StructureSection(Section):
    """The atoms, all of them: the electrolyte with its carriers."""

    file: Path
    """Any structure file ASE reads; periodic."""
    repeat: tuple[_Repeat, _Repeat, _Repeat] = (1, 1, 1)
    """How often it is repeated along each lattice vector."""


class PotentialSection(Section):
    """What gives energies and forces: a potential file, an n2p2 directory, or an ASE calculator."""

    file: Path | None = None
    """A .nnp file, or a directory of n2p2 or RuNNer."""
    units: tuple[str, str] = ("Angstrom", "eV")
    """Length and energy in the files of an n2p2 directory, which do not say so: often ["bohr", "hartree"]."""
    calculator: str = ""
    """Import path of an ASE calculator, 'package.module:Name', in the place of a file."""
    calculator_kwargs: dict[str, Any] = Field({})
    """Its keyword arguments."""


class DynamicsSection(Section):
    """Molecular dynamics at each temperature: some time to forget the start, then the run that counts."""

    temperatures: _Temperatures = (600.0, 800.0, 1000.0)
    """K."""
    ensemble: Literal["nvt", "langevin", "nose-hoover", "npt", "npt-anisotropic", "npt-flexible"] = "nvt"
    """docs/dynamics.md says what each samples."""
    pressure_GPa: float = 0.0
    """Where the cell moves."""
    timestep_fs: PositiveFloat = 1.0
    """A tenth of the fastest vibration's period at most."""
    equilibration_ps: float = Field(5.0, ge=0)
    """Thrown away."""
    production_ps: PositiveFloat = 100.0
    """Measured."""
    every: _Count = 20
    """Steps between frames."""


class CarrierAnalysis(Section):
    """What is measured on the trajectories."""

    species: str = ""
    """Chemical symbol of the carrier; empty: all atoms."""
    charge: float = 0.0
    """Of a carrier, e; with one, the conductivity is measured too."""


class DynamicsStudy(Section):
    """Dense carriers by molecular dynamics: D(T), and the conductivity, with error bars."""

    seed: int = Field(0, ge=0, lt=2**63)
    """Same seed, same answer, to the last digit."""
    structure: StructureSection
    potential: PotentialSection
    dynamics: DynamicsSection = DynamicsSection()
    analysis: CarrierAnalysis = CarrierAnalysis()


Study = RunConfig | GraphStudy | DynamicsStudy
_BY_TABLE: dict[str, type[GraphStudy] | type[DynamicsStudy]] = {
    "graph": GraphStudy,
    "structure": DynamicsStudy,
}


def read_study(path: str | Path, seed: int | None = None) -> Study:
    """A configuration of any kind, told by its tables; paths become absolute, `seed` replaces the file's.

    Raises
    ------
    ConfigError
        As of :func:`iondiff.config.read_config`.
    """
    path = Path(path)
    tables = read_toml(path)
    if "start" in tables and "host" not in tables:
        raise ConfigError(
            f"configuration {path} is of a melt-quench; use: diffusion-network quench {path.name}"
        )
    model = next((model for table, model in _BY_TABLE.items() if table in tables), None)
    study: Study = (
        read_config(path)
        if model is None or "host" in tables
        else _absolute(validate(model, tables, f"configuration {path}"), path.resolve().parent)
    )
    if seed is None:
        return study
    if not 0 <= seed < 2**63:
        raise ConfigError(f"--seed is {seed}; wanted a whole number from 0 on")
    return study.model_copy(update={"seed": seed})


def keep_configuration(source: str | Path, target: Path, study: Study) -> None:
    """A copy of the configuration in the run folder; a seed given on the command line takes its place."""
    text = read_bounded(Path(source), _LARGEST).decode()
    if read_study(source).seed != study.seed:
        lines = text.splitlines(keepends=True)
        first = next((n for n, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
        above = [line for line in lines[:first] if not line.lstrip().startswith("seed")]
        text = "".join([f"seed = {study.seed}  # from the command line\n", *above, *lines[first:]])
    write_atomically(target, text)


def steps_of(duration_ps: float, timestep_fs: float) -> int:
    """Steps that last as long."""
    return math.ceil(duration_ps * 1e3 / timestep_fs - 1e-9)


def _absolute(study: Any, folder: Path) -> Any:
    def resolve(section: BaseModel) -> BaseModel:
        changed = {name: (folder / value).resolve() for name, value in section if isinstance(value, Path)}
        return section.model_copy(update=changed)

    return study.model_copy(
        update={name: resolve(value) for name, value in study if isinstance(value, BaseModel)}
    )


Progress = Callable[[str, int, int], None]
