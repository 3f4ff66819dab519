"""The configuration of a training: defaults, checks and documentation in one text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from iondiff.tables import Section, read_toml, validate

VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")


class DataSection(Section):
    """What is learnt from. Units of extended XYZ, ASE databases, OUTCAR and vasprun.xml: eV and Å."""

    train: tuple[Path, ...] = ()
    """Files: extended XYZ (also .gz), ASE databases (.db, .json), OUTCAR, vasprun.xml, n2p2's input.data."""
    test: tuple[Path, ...] = ()
    """Files never trained on."""
    validation: tuple[Path, ...] = ()
    """Files for early stopping; by default a part of the training files, see `validation_fraction`."""
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    """Of the training files, from every `config_type`; 0 trains on all and never stops early."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """Of the training files; held out before anything else is done."""
    units: tuple[str, str] = ("Angstrom", "eV")
    """Length and energy of n2p2's input.data, for example ["bohr", "hartree"]."""
    energy_key: str = "energy"
    """Name of the energy in extended XYZ (info) where it is not ASE's own; of OUTCAR and vasprun.xml also
    "free_energy", whose derivative VASP's forces are, where "energy" is extrapolated to no smearing."""
    forces_key: str = "forces"
    """Name of the forces (arrays)."""
    stress_key: str = "stress"
    """Name of the stress (info)."""
    stress_order: tuple[Literal["xx", "yy", "zz", "yz", "xz", "xy"], ...] = (
        "xx",
        "yy",
        "zz",
        "yz",
        "xz",
        "xy",
    )
    """What the six numbers of a stress are, as ASE reads them; for files that were written in another order."""
    virial_offset: float = 0.0
    """eV an atom, added to the diagonal of stress times volume: what a plane-wave basis of finite cutoff leaves out
    (Pulay stress). It is the slope of the energies by strain less the virial of the file, the same at every strain."""
    unused_stresses: dict[str, tuple[Literal["xx", "yy", "zz", "yz", "xz", "xy"], ...]] = Field({})
    """Components that are not learnt from, of the structures of a `config_type`: { Elastic = ["yz", "xz", "xy"] }."""
    missing: Literal["refuse", "allow"] = "refuse"
    """Structures without the energies or forces that the loss asks for: refuse them, or use what they have."""
    weights: dict[str, PositiveFloat] = Field({})
    """Weight of the structures of a `config_type`; a structure's own info["weight"] and arrays["weight"]
    (per atom, forces) multiply it."""
    reference_energies: dict[str, float] = Field({})
    """eV an atom of each element; fitted to the training energies where none are given."""

    @field_validator("stress_order")
    @classmethod
    def _all_six(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(order) != sorted(VOIGT):
            message = f"wanted each of {', '.join(VOIGT)} once"
            raise ValueError(message)
        return order


class RadialSection(Section):
    """Shells of G2 functions for every neighbour element: exp(−η (r − r_s)²) f(r)."""

    count: PositiveInt = 12
    """Shells, evenly spaced from `first` to one spacing short of the cutoff."""
    first: float = Field(1.5, ge=0)
    """Å, centre of the first shell."""
    cutoff: PositiveFloat = 6.0
    """Å."""
    width: PositiveFloat = 0.75
    """Standard deviation of a shell in units of their spacing."""


class AngularSection(Section):
    """G5 ("wide") or G4 ("narrow") functions for every pair of neighbour elements, all combinations."""

    kind: Literal["wide", "narrow"] = "wide"
    """Whether the distance between the two neighbours counts (narrow)."""
    etas: tuple[float, ...] = (0.5,)
    """1/Å²."""
    shifts: tuple[float, ...] = (1.5, 2.5, 3.5)
    """Å."""
    zetas: tuple[PositiveFloat, ...] = (1.0, 2.0, 4.0, 8.0)
    lambdas: tuple[Literal[-1, 1], ...] = (1, -1)
    cutoff: PositiveFloat = 5.0
    """Å."""


class SelectionSection(Section):
    """Choose some of the functions (:mod:`iondiff.descriptors.selection`)."""

    method: Literal[
        "none", "pca", "cur", "farthest", "pearson", "lasso", "group-lasso", "genetic", "random", "structure"
    ] = "none"
    """How; "structure" keeps the element combinations named in `keep`."""
    count: PositiveInt = 20
    """Functions kept, for each element."""
    keep: tuple[str, ...] = ()
    """Element combinations kept by "structure", centre first: "Li-O", "P-OO"."""


class DescriptorSection(Section):
    """The symmetry functions: a file, a list, or shells for all combinations of elements."""

    file: Path | None = None
    """n2p2's input.nn, or a potential file, whose functions are taken."""
    units: tuple[str, str] = ("Angstrom", "eV")
    """Of an input.nn, for example ["bohr", "hartree"]."""
    cutoff_function: int = Field(6, ge=0, le=8)
    """n2p2's number; 6 has two continuous derivatives."""
    radial: tuple[RadialSection, ...] = (RadialSection(),)
    angular: tuple[AngularSection, ...] = (AngularSection(),)
    selection: SelectionSection = SelectionSection()


class NetworkSection(Section):
    """The networks, one an element."""

    hidden: tuple[PositiveInt, ...] = Field((20, 20), min_length=1)
    """Nodes of the hidden layers."""
    activation: Literal["tanh", "softplus", "logistic", "gaussian", "cosine"] = "tanh"
    members: PositiveInt = 1
    """Networks in the committee; they share the functions and differ in initial weights."""
    bagging: bool = False
    """Each member holds out, for its early stopping, another part of the training structures, `validation_fraction`
    of them. The committee has learnt from all, and the errors of "validation" are those of each structure by the
    members that never saw it."""


class LossSection(Section):
    """L = α · MSE(F) + (1 − α) · MSE(E) + β · MSE(virial): eV/Å, eV an atom, eV an atom."""

    force_weight: float = Field(0.02, ge=0, le=1)
    """α; 0 trains on energies alone, 1 on forces alone."""
    stress_weight: float = Field(0.0, ge=0)
    """β, for structures that have a stress."""
    decay: float = Field(1e-6, ge=0)
    """Penalty on Σ w² / n_weights, in units of the loss of a potential that predicts nothing."""


class OptimiserSection(Section):
    """How the loss is lowered."""

    kind: Literal["levenberg-marquardt", "kalman", "l-bfgs", "adamw"] = "levenberg-marquardt"
    epochs: PositiveInt = 60
    """At most; for Levenberg-Marquardt and L-BFGS one step each."""
    patience: PositiveInt = 20
    """Epochs without a better validation loss before stopping."""
    oversampling: PositiveFloat = 16.0
    """Force components in the curvature of Levenberg-Marquardt for each weight; the slope has all of them."""
    rate: PositiveFloat = 3e-3
    """Learning rate of AdamW."""
    batch: PositiveInt = 4
    """Structures in a step of AdamW."""
    streams: PositiveInt = 1
    """Structures in an update of the Kalman filter."""
    forces: PositiveInt = 1
    """Force components of each structure in an update of the Kalman filter."""
    force_updates: float = Field(6.0, ge=0)
    """Force updates for every energy update of the Kalman filter."""
    epsilon: PositiveFloat = 1e-2
    """Inverse of the Kalman filter's first covariance."""
    memory: PositiveInt = 30
    """Steps that L-BFGS remembers."""


class TrainingConfig(Section):
    """Everything a training needs; paths are relative to the configuration file."""

    seed: int = Field(0, ge=0)
    """Same seed, same potential, to the last digit."""
    workers: PositiveInt = 1
    """Processes; each trains whole members."""
    memory_budget_GB: PositiveFloat = 4.0
    """Derivatives of the functions beyond this are kept in a file."""
    data: DataSection
    descriptors: DescriptorSection = DescriptorSection()
    network: NetworkSection = NetworkSection()
    loss: LossSection = LossSection()
    optimiser: OptimiserSection = OptimiserSection()

    @model_validator(mode="after")
    def _fractions(self) -> TrainingConfig:
        if self.network.bagging and (
            self.network.members < 2 or self.data.validation or not self.data.validation_fraction
        ):
            message = (
                "[network] bagging wants at least two members and a validation_fraction above 0, and no [data] "
                "validation files"
            )
            raise ValueError(message)
        if self.data.validation_fraction + self.data.test_fraction >= 1:
            message = "validation_fraction and test_fraction leave nothing to train on"
            raise ValueError(message)
        return self


def read_training_config(source: str | Path | dict[str, Any] | TrainingConfig) -> TrainingConfig:
    """A configuration from a TOML file, plain data or itself; paths of a file's become absolute.

    Raises
    ------
    ConfigError
        With the key and the nearest known one.
    """
    if isinstance(source, TrainingConfig):
        return source
    if isinstance(source, dict):
        return validate(TrainingConfig, source, "configuration")
    path = Path(source)
    config = validate(TrainingConfig, read_toml(path), f"configuration {path}")
    folder = path.resolve().parent
    data = config.data.model_copy(
        update={
            name: tuple((folder / file).resolve() for file in getattr(config.data, name))
            for name in ("train", "test", "validation")
        }
    )
    descriptors = config.descriptors
    if descriptors.file is not None:
        descriptors = descriptors.model_copy(update={"file": (folder / descriptors.file).resolve()})
    return config.model_copy(update={"data": data, "descriptors": descriptors})
