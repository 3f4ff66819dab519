"""The plain-data files of a run folder, as the report reads them; keys that are not named here are kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Record(BaseModel):
    """Unknown keys are allowed: a later writer may say more than this reader shows."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Parity(_Record):
    """Reference (teacher) and predicted (network) energies, eV, and the part each label belongs to."""

    split: list[str]
    reference_eV: list[float]  # noqa: N815 - the unit keeps its case
    predicted_eV: list[float]  # noqa: N815

    @model_validator(mode="after")
    def _equally_long(self) -> Parity:
        lengths = {len(self.split), len(self.reference_eV), len(self.predicted_eV)}
        if len(lengths) > 1:
            raise ValueError(f"split, reference_eV and predicted_eV have different lengths {sorted(lengths)}")
        return self


class DistanceBin(_Record):
    """Error of the labels whose nearest host atom is between `from_A` and `to_A` Å away, meV."""

    from_A: float  # noqa: N815
    to_A: float  # noqa: N815
    count: int
    rmse_meV: float | None  # noqa: N815


class EnergyBin(_Record):
    """Error of the labels between `from_eV` and `to_eV` above the lowest one, meV."""

    from_eV: float  # noqa: N815
    to_eV: float  # noqa: N815
    count: int
    rmse_meV: float | None  # noqa: N815


class CurvePoint(_Record):
    """Test error, meV, of a network trained on `labels` labels; `low` is within 1 eV of the lowest label."""

    labels: int
    rmse_meV: float  # noqa: N815
    rmse_low_meV: float | None = None  # noqa: N815


class Training(_Record):
    """``training.json``: how well the guest network reproduces its teacher."""

    label_count: int
    train_count: int
    test_count: int
    layers: list[int] = Field(default_factory=list)
    parity: Parity | None = None
    test_rmse_meV: float  # noqa: N815
    test_rmse_low_meV: float | None = None  # noqa: N815
    low_count: int | None = None
    gradient_rmse_eV_A: float | None = None  # noqa: N815
    by_distance: list[DistanceBin] | None = None
    by_energy: list[EnergyBin] | None = None
    label_noise_meV: float | None = None  # noqa: N815
    learning_curve: list[CurvePoint] | None = None


class Percolation(_Record):
    """Lowest energies, eV, at which the network spans one, two and three directions."""

    rank: int | None = None
    barrier_1d_eV: float | None = None  # noqa: N815
    barrier_2d_eV: float | None = None  # noqa: N815
    barrier_3d_eV: float | None = None  # noqa: N815


class Transport(_Record):
    """``transport.json``: the Arrhenius fit and the percolation barriers."""

    activation_energy_eV: float | None  # noqa: N815
    activation_energy_error_eV: float | None = None  # noqa: N815
    D0_cm2_s: float | None = None
    percolation: Percolation = Field(default_factory=Percolation)
    fits: dict[str, object] = Field(default_factory=dict)


class BandCheck(_Record):
    """One hop's energies, eV, along its band by the network and by the teacher."""

    source: int | str
    target: int | str
    image: list[int] = Field(min_length=3, max_length=3)
    barrier_network_eV: float | None = None  # noqa: N815
    barrier_teacher_eV: float | None = None  # noqa: N815
    distance_A: list[float] = Field(min_length=1)  # noqa: N815
    energy_network_eV: list[float] = Field(min_length=1)  # noqa: N815
    energy_teacher_eV: list[float] = Field(min_length=1)  # noqa: N815

    @model_validator(mode="after")
    def _equally_long(self) -> BandCheck:
        lengths = {len(self.distance_A), len(self.energy_network_eV), len(self.energy_teacher_eV)}
        if len(lengths) > 1:
            raise ValueError(f"distance_A and the two energy lists have different lengths {sorted(lengths)}")
        return self


class SpringRow(_Record):
    """Barriers, eV, of the same hops with one strength of the tethers (0 or None: host relaxed freely)."""

    spring_eV_A2: float | None  # noqa: N815
    hops: list[float | None]


class TeacherCheck(_Record):
    """``teacher_check.json``: the current-carrying hops recomputed by the teacher."""

    max_error_eV: float | None  # noqa: N815
    hops: list[BandCheck] = Field(default_factory=list)
    teacher: str | None = None
    spring_study: list[SpringRow] | None = None


class Certificate(_Record):
    """``certificate.json``: whether the count of critical points closes."""

    complete: bool
    text: str = ""


class Summary(_Record):
    """``summary.json``: the run in a few numbers; the report takes its wall times from here."""

    wall_seconds: dict[str, float] = Field(default_factory=dict)


class Provenance(_Record):
    """``provenance.json``: what made the run."""

    versions: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)
