"""The configuration of a melt-quench: TOML in, checked values out. Defaults, checks, documentation: one text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from iondiff.dynamics import Protocol, random_packing
from iondiff.structures import read_structure
from iondiff.tables import Section, read_toml, validate


class StartSection(Section):
    """Where the atoms come from: a structure file, or a composition thrown into a box."""

    file: Path | None = None
    """Any structure file ASE reads; the last structure of it."""
    supercell: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)
    """Repeats of the structure in the file."""
    composition: dict[str, PositiveInt] = Field({})
    """Atoms of each element, instead of a file; every sample gets a packing of its own."""
    density_g_cm3: PositiveFloat | None = None
    """g/cm³ of the packing."""
    distances: dict[str, PositiveFloat] | PositiveFloat | None = None
    """Å, the nearest two atoms may be: a number, or by pairs ("Si-O")."""

    @model_validator(mode="after")
    def _one_of_two(self) -> StartSection:
        if (self.file is None) == (not self.composition):
            message = "give either file or composition"
            raise ValueError(message)
        if self.composition and self.density_g_cm3 is None:
            message = "a composition needs density_g_cm3"
            raise ValueError(message)
        return self


class PotentialSection(Section):
    """Where the forces come from: one of the three."""

    file: Path | None = None
    """Potential for all atoms (.nnp, or a directory of n2p2)."""
    built_in: Literal["stillinger-weber", "tersoff"] | None = None
    """A classical silicon."""
    calculator: str = ""
    """Import path of an ASE calculator, 'package.module:Name'."""
    calculator_kwargs: dict[str, Any] = Field({})
    """Its keyword arguments."""
    core: bool = True
    """Add a screened nuclear repulsion (ZBL) to a potential from a file, for close encounters in the hot melt."""
    core_inner_A: float = Field(0.8, ge=0)
    core_outer_A: PositiveFloat = 1.6
    """Å; the core fades out between the two."""
    one_member: bool = False
    """Of a committee, use the first network only: several times faster."""

    @model_validator(mode="after")
    def _one_of_three(self) -> PotentialSection:
        if sum((self.file is not None, self.built_in is not None, bool(self.calculator))) != 1:
            message = "give one of file, built_in and calculator"
            raise ValueError(message)
        return self


class ProtocolSection(Section):
    """What is done to the atoms; see :class:`iondiff.dynamics.Protocol`."""

    rates_K_per_s: tuple[PositiveFloat, ...] = Field((1e14,), min_length=1)
    """Cooling rates; each is a series of its own."""
    samples: PositiveInt = 1
    """Independent samples at each rate."""
    melt_K: PositiveFloat = 3000.0
    final_K: PositiveFloat = 300.0
    melt_ps: PositiveFloat = 10.0
    most_melt_ps: PositiveFloat = 50.0
    anneal_ps: float = Field(10.0, ge=0)
    timestep_fs: PositiveFloat = 1.0
    ensemble: str = "npt"
    pressure_GPa: float = 0.0
    every: PositiveInt = 200
    """Steps between frames."""
    melted_A: PositiveFloat = 1.5
    relax_eV_A: float = Field(0.01, ge=0)


class ReportSection(Section):
    """What is looked at; see :func:`iondiff.analysis.glass.glass_report`."""

    cutoff_A: PositiveFloat | dict[str, PositiveFloat] | None = None
    """Å of a bond, one number or by pairs; found from the distances where it is not given."""
    expected: int | dict[str, int] | None = None
    """Neighbours of an atom that is no defect."""
    polyhedra: tuple[str, str, PositiveFloat] | None = None
    """Centre, ligand, Å: ["P", "O", 2.0]."""
    crystal: Path | None = None
    """Structure of the crystal, relaxed in its cell, for the excess energy."""
    vibrations: bool = False
    """Whether to compute the vibrations: 6 force calls an atom."""


class QuenchConfig(Section):
    """Everything a quench needs; paths are relative to the configuration file."""

    seed: int = Field(0, ge=0)
    """Same seed, same glasses."""
    start: StartSection
    potential: PotentialSection
    protocol: ProtocolSection = ProtocolSection()
    report: ReportSection = ReportSection()

    def protocols(self) -> list[Protocol]:
        """One for each rate."""
        given = self.protocol.model_dump(exclude={"rates_K_per_s", "samples"})
        return [Protocol(rate_K_per_s=rate, **given) for rate in self.protocol.rates_K_per_s]

    def starts(self) -> list[Atoms]:
        """One for each sample."""
        begin, seeds = self.start, range(self.seed, self.seed + self.protocol.samples)
        if begin.file is not None:
            return [read_structure(begin.file) * begin.supercell for _ in seeds]
        return [
            random_packing(begin.composition, begin.density_g_cm3, distances=begin.distances, seed=seed)
            for seed in seeds
        ]


def read_quench_config(path: str | Path) -> QuenchConfig:
    """A configuration from a TOML file; its paths become absolute.

    Raises
    ------
    ConfigError
        With the key and the nearest known one.
    """
    path = Path(path)
    config = validate(QuenchConfig, read_toml(path), f"configuration {path}")
    folder = path.resolve().parent

    def settle(section: Any, name: str) -> Any:
        file = getattr(section, name)
        return section if file is None else section.model_copy(update={name: (folder / file).resolve()})

    return config.model_copy(
        update={
            "start": settle(config.start, "file"),
            "potential": settle(config.potential, "file"),
            "report": settle(config.report, "crystal"),
        }
    )
