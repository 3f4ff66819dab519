"""The configuration of a run: TOML in, checked values out. Defaults, checks, documentation: one text."""

from __future__ import annotations

import difflib
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from ase.data import chemical_symbols
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
)

from iondiff.errors import ConfigError
from iondiff.files import brief, read_bounded
from iondiff.training import TrainingSettings

# Bounds far above any sensible use: a slip of the hand is refused here with its number, not by a machine
# that ran out of memory an hour later.
_LARGEST = 1 << 20  # bytes of a configuration
_MOST_GRID_POINTS = 50_000_000
_GridCount = Annotated[int, Field(gt=0, le=5000)]
_Count = Annotated[int, Field(gt=0, le=10_000_000)]
_Nodes = Annotated[int, Field(gt=0, le=1000)]
_Length = Annotated[float, Field(gt=0, le=50)]  # Å


def _few_enough(grid: tuple[int, int, int]) -> tuple[int, int, int]:
    if math.prod(grid) > _MOST_GRID_POINTS:
        message = f"{math.prod(grid)} grid points; wanted at most {_MOST_GRID_POINTS}"
        raise ValueError(message)
    return grid


Grid = Annotated[tuple[_GridCount, _GridCount, _GridCount], AfterValidator(_few_enough)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class HostSection(_Section):
    """The structure the guest moves in."""

    file: Path
    """Any structure file ASE reads; periodic, relaxed."""


class LabelSection(_Section):
    """Where the energies come from."""

    file: Path | None = None
    """Label file. Without one, the labels are made by `calculator` during the run."""
    count: _Count = 2000
    """Labels drawn from the grid."""
    test_count: _Count = 200
    """Of these, how many are never trained on."""
    core_count: int = Field(100, ge=0, le=10_000_000)
    """Further labels inside the walls, from `core_distance` to the nearest of `keep`; not tested on."""
    core_distance: PositiveFloat = 1.1
    """Å to the nearest host atom; the potential is infinite inside."""
    grid: Grid = (50, 50, 50)
    """Points along each lattice vector from which labels are drawn."""
    keep: tuple[tuple[float, float], ...] = ((1.4, 0.25), (1.7, 1.0))
    """From this distance (Å) to the nearest host atom on, keep this fraction of the points."""
    calculator: str = ""
    """Import path of an ASE calculator, 'package.module:Name'."""
    calculator_kwargs: dict[str, Any] = {}
    """Its keyword arguments."""
    spring: float = Field(1.0, ge=0)
    """eV/Å² on every host atom; 0 relaxes freely, and then the energy depends on how a point was reached."""
    fmax: PositiveFloat = 0.02
    """eV/Å, largest force left on a host atom."""
    precondition: bool = True
    """Relax with the host's own Hessian as preconditioner."""


class NetworkSection(_Section):
    """The guest network and its training (:class:`iondiff.training.TrainingSettings` says what each is)."""

    cutoff: _Length = 6.5
    """Å, radial functions."""
    angular_cutoff: _Length = 5.5
    """Å, angular functions."""
    hidden: tuple[_Nodes, ...] = Field((9, 9), max_length=10)
    """Nodes of the hidden layers."""
    members: int = Field(4, gt=0, le=1000)
    """Networks in the committee."""
    force_weight: float = Field(0.1, gt=0, lt=1)
    """Share of the forces in the loss."""
    height_scale: PositiveFloat = 2.0
    """eV above the lowest label, where a label counts half."""
    decay: float = Field(1e-2, ge=0)
    """Pull of the weights towards zero."""
    validation_fraction: float = Field(0.1, gt=0, lt=0.5)
    """Part of the training labels that each member holds back for early stopping."""
    max_iterations: _Count = 300
    """Levenberg-Marquardt iterations of a member."""
    patience: _Count = 40
    """Iterations without progress on the held-back part that end a member."""
    correction: bool | Literal["auto"] = "auto"
    """Interpolate the residuals on the labels by a kernel; 'auto': unless the host has symmetries, which it
    would break."""
    correction_support: _Length = 2.5
    """Å, how far a label's residual is felt."""
    correction_amplitude: PositiveFloat = 0.3
    """eV, expected size of the residuals."""
    energy_noise: PositiveFloat = 0.01
    """eV, noise of the labels' energies."""
    gradient_noise: PositiveFloat = 0.05
    """eV/Å, noise of the labels' forces."""

    def settings(self, *, symmetric: bool) -> TrainingSettings:
        """The part that training reads, for a host with or without symmetries."""
        given = self.model_dump(exclude={"cutoff", "angular_cutoff"})
        if given["correction"] == "auto":
            given["correction"] = not symmetric
        return TrainingSettings(**given)


class ImproveSection(_Section):
    """Further labels at the sites and passes that the network finds (:mod:`iondiff.improvement`)."""

    rounds: int = Field(0, ge=0)
    """At most so many; 0 trains on the drawn labels alone. Needs labels.calculator."""
    tolerance_meV: PositiveFloat = 20.0
    """Rounds end when no barrier of a hop that carries current differs more from the teacher's."""
    most_labels: _Count = 60
    """Labels a round; those of the carrying hops first."""
    spacing: PositiveFloat = 0.15
    """Å to the nearest label, below which a site or pass that carries nothing is not labelled."""


class SearchSection(_Section):
    """Sites, passes and hops."""

    grid: Grid = (50, 50, 50)
    """Points along each lattice vector; every one is used."""
    energy_cap: PositiveFloat = 2.0
    """eV above the lowest site; what is higher is left out."""
    prefactors: PositiveFloat | Literal["vineyard"] = "vineyard"
    """Hz, or 'vineyard' for attempt frequencies from the Hessians of sites and passes."""
    certify: bool = True
    """Prove on the fitted surface that no site or pass is missing."""


class TransportSection(_Section):
    """Temperatures, and how long the walkers walk."""

    temperatures: tuple[PositiveFloat, ...] = Field(
        (500.0, 600.0, 700.0, 800.0), min_length=2, max_length=1000
    )
    """K."""
    walkers: _Count = 1000
    """Independent carriers."""
    hops: int = Field(100_000, gt=0, le=10**12)
    """Hops of each walker."""


class ChecksSection(_Section):
    """How D changes with the number of labels; the rounds of [improve] are shown by themselves."""

    label_fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((), max_length=20)
    """Parts of the training labels to train and search with once more, for example [0.25, 0.5]; each costs
    a training and a search."""


class EvidenceSection(_Section):
    """Results of the case study's own scripts, shown in the report; each may be left out."""

    literature: Path | None = None
    """Measured or published points for the Arrhenius plot: a table (.csv) with the columns temperature (K),
    D (cm²/s) and, where there is one, source."""
    teacher_check: Path | None = None
    """Teacher energies along the bands of the hops that carry the current."""
    label_noise: Path | None = None
    """The same points labelled from different arrivals."""
    learning_curve: Path | None = None
    """Test error against number of labels."""
    spring_study: Path | None = None
    """Barriers with softer and stiffer tethers."""


class RunConfig(_Section):
    """Everything a run needs; paths are relative to the configuration file."""

    guest: str
    """Chemical symbol of the diffusing species."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Same seed, same answer, to the last digit."""
    host: HostSection
    labels: LabelSection = LabelSection()
    network: NetworkSection = NetworkSection()
    improve: ImproveSection = ImproveSection()
    search: SearchSection = SearchSection()
    transport: TransportSection = TransportSection()
    checks: ChecksSection = ChecksSection()
    evidence: EvidenceSection = EvidenceSection()

    @field_validator("guest")
    @classmethod
    def _is_an_element(cls, symbol: str) -> str:
        if symbol not in chemical_symbols[1:]:
            message = f"{symbol!r} is not a chemical symbol"
            raise ValueError(message)
        return symbol


def read_config(path: str | Path) -> RunConfig:
    """Read and check a configuration; paths in it become absolute.

    Raises
    ------
    ConfigError
        Missing file, invalid TOML, an unknown key (the nearest known one is named) or a value out of range.
    """
    path = Path(path)
    try:
        data = tomllib.loads(read_bounded(path, _LARGEST).decode())
    except FileNotFoundError:
        raise ConfigError(f"configuration {path} does not exist") from None
    except (ValueError, RecursionError, OSError) as error:  # tomllib's and the decoder's are ValueErrors
        raise ConfigError(f"configuration {path} cannot be read: {brief(error)}") from error
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"configuration {path}: {_explain(error)}") from error
    return _absolute(config, path.resolve().parent)


def _explain(error: ValidationError) -> str:
    """The first complaint as one sentence."""
    # A misspelt key may be why another one is missing: it is said first.
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *sections, key = (str(part) for part in first["loc"])
        known = _known_keys(sections)
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        every = ", ".join(known)
        return f"unknown key {brief(place)!r}; the nearest known one is {near[0]!r}, all of them: {every}"
    if first["type"] == "missing":
        return f"{place} is missing; wanted {place} = ..."
    return f"{place} is {brief(repr(first['input']))}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _known_keys(sections: list[str]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for name in sections:
        annotation = model.model_fields[name].annotation
        candidates = [
            a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if not candidates:
            return sorted(model.model_fields)
        model = candidates[0]
    return sorted(model.model_fields)


def _absolute(config: RunConfig, folder: Path) -> RunConfig:
    def resolve(section: _Section) -> _Section:
        changed = {name: (folder / value).resolve() for name, value in section if isinstance(value, Path)}
        return section.model_copy(update=changed)

    sections = {name: resolve(value) for name, value in config if isinstance(value, _Section)}
    return config.model_copy(update=sections)
