"""A melt-quench from a configuration: start, potential, protocol at several rates, samples, report.

What ``diffusion-network quench`` does, for those who want it from Python.
"""

from __future__ import annotations

import time
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ase.io
from ase import Atoms
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from iondiff.analysis.glass import GlassReport, glass_report
from iondiff.analysis.vibrations import harmonic_vibrations
from iondiff.dynamics import Protocol, Quenched, quench_series, random_packing, relax, run
from iondiff.errors import PlotError, PotentialError
from iondiff.potentials import ZBL, Committee, GuestNNP, Hybrid, StillingerWeber, load
from iondiff.potentials.compiled_calculator import species_indices
from iondiff.potentials.tersoff import Tersoff
from iondiff.sampling.calculators import make_calculator
from iondiff.structures import read_structure
from iondiff.tables import Section, read_toml, validate

_BUILT_IN = {"stillinger-weber": StillingerWeber, "tersoff": Tersoff}
_TRIAL_SECONDS = 2.0


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


@dataclass(frozen=True)
class PotentialMaker:
    """Makes the potential of a configuration in whichever process needs it."""

    section: PotentialSection

    def __call__(self) -> Any:
        """A compiled potential or an ASE calculator.

        Raises
        ------
        PotentialError, CalculatorError
            The file is no potential for all atoms; the calculator cannot be imported or made.
        """
        given = self.section
        if given.calculator:
            return make_calculator(given.calculator, given.calculator_kwargs)
        if given.built_in is not None:
            return _BUILT_IN[given.built_in]()
        found = load(given.file)  # type: ignore[arg-type]
        if isinstance(found, GuestNNP):
            raise PotentialError(f"{given.file} is the potential of a guest; wanted one for all atoms")
        if given.one_member and isinstance(found, Committee):
            found = found.members[0]
        if not given.core:
            return found
        return Hybrid(found, ZBL(found.species, given.core_inner_A, given.core_outer_A))


@dataclass(frozen=True)
class PlannedRate:
    """What one rate will cost.

    Attributes
    ----------
    rate_K_per_s, samples
        Of the configuration.
    steps
        Of one sample: melt (where its first stage is enough), quench and anneal.
    seconds
        Of one sample on one core, from some steps made now.
    """

    rate_K_per_s: float
    samples: int
    steps: int
    seconds: float


def plan_quench(config: QuenchConfig) -> list[PlannedRate]:
    """Steps and expected time of every rate, from a trial of two seconds; nothing is written."""
    atoms, potential = config.starts()[0], PotentialMaker(config.potential)()
    check_species(atoms, potential)
    protocols = config.protocols()
    first = protocols[0]
    settings: dict[str, Any] = {"temperature": first.final_K, "timestep_fs": first.timestep_fs, "seed": config.seed}
    steps, seconds = 10, 0.0
    run(atoms, potential, "langevin", n_steps=5, **settings)  # compiles
    while seconds < _TRIAL_SECONDS:
        begin = time.perf_counter()
        run(atoms, potential, "langevin", n_steps=steps, every=steps, **settings)
        seconds, done, steps = time.perf_counter() - begin, steps, 3 * steps
    return [
        PlannedRate(one.rate_K_per_s, config.protocol.samples, one.expected_steps, one.expected_steps * seconds / done)
        for one in protocols
    ]


def check_species(atoms: Atoms, potential: Any) -> None:
    """Refuse elements that a compiled potential does not know, before anything is written."""
    if hasattr(potential, "species"):
        species_indices(atoms.get_chemical_symbols(), tuple(potential.species))


def quench(
    config: QuenchConfig,
    output: str | Path,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool = False,
) -> dict[float, GlassReport]:
    """Make all glasses of a configuration and describe them; killed and called again it goes on.

    Parameters
    ----------
    config
        See :func:`read_quench_config`.
    output
        Folder: ``protocol-0/sample-0`` and so on with everything of each quench, ``glasses.extxyz``, and for each rate a
        folder ``report-1e+14`` with ``samples.csv``, ``averages.csv``, ``curves.json`` and ``report.svg``.
    workers, executor, progress
        See :func:`iondiff.dynamics.quench_series`.

    Returns
    -------
    dict
        Rate (K/s) -> report.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    maker, starts = PotentialMaker(config.potential), config.starts()
    potential = maker()
    check_species(starts[0], potential)
    made = quench_series(
        starts, maker, config.protocols(), output, config.protocol.samples, config.seed, workers, executor, progress
    )
    ase.io.write(output / "glasses.extxyz", [_labelled(one) for one in made], format="extxyz")
    crystal = None
    if config.report.crystal is not None:
        reference = read_structure(config.report.crystal)
        crystal = relax(reference, potential)[1] / len(reference)
    reports = {}
    for k, rate in enumerate(config.protocol.rates_K_per_s):
        group = made[k * len(starts) : (k + 1) * len(starts)]
        reports[rate] = _report(group, config.report, potential, crystal, output / f"report-{rate:g}")
    return reports


def _labelled(made: Quenched) -> Atoms:
    atoms = Atoms(made.atoms.symbols, made.atoms.positions, cell=made.atoms.cell, pbc=True)
    atoms.wrap()
    atoms.info = {"rate_K_per_s": made.protocol.rate_K_per_s, "energy_eV": made.energy_eV}
    if made.warnings:
        atoms.info["warnings"] = "; ".join(made.warnings)
    return atoms


def _report(
    made: list[Quenched], asked: ReportSection, potential: Any, crystal: float | None, folder: Path
) -> GlassReport:
    frames = [one.atoms for one in made]
    vibrations = None
    if asked.vibrations:
        source = potential.calculator() if hasattr(potential, "compiled") else potential
        vibrations = [harmonic_vibrations(atoms, source) for atoms in frames]
    report = glass_report(
        frames, asked.cutoff_A, expected=asked.expected, energies_eV=[one.energy_eV for one in made],
        crystal_eV=crystal, units=asked.polyhedra, vibrations=vibrations,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    report.write(folder)
    try:
        report.plot(folder / "report.svg")
    except PlotError:  # matplotlib is an extra
        pass
    return report


