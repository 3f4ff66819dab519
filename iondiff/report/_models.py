"""The plain-data files of a run folder, as the report reads them; keys that are not named here are kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Record(BaseModel):
    """Unknown keys are allowed: a later writer may say more than this reader shows."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Parity(_Record):
    """Reference (teacher) and predicted (network) energies, eV, and the part each label belongs to."""

    split: list[str]
    reference_eV: list[float]
    predicted_eV: list[float]

    @model_validator(mode="after")
    def _equally_long(self) -> Parity:
        lengths = {len(self.split), len(self.reference_eV), len(self.predicted_eV)}
        if len(lengths) > 1:
            raise ValueError(f"split, reference_eV and predicted_eV have different lengths {sorted(lengths)}")
        return self


class DistanceBin(_Record):
    """Error, meV, of labels whose nearest host atom is `from_A` to `to_A` (None: or more) Å away."""

    from_A: float
    to_A: float | None
    count: int
    rmse_meV: float | None


class EnergyBin(_Record):
    """Error of the labels between `from_eV` and `to_eV` (None: all higher) above the lowest, meV."""

    from_eV: float
    to_eV: float | None
    count: int
    rmse_meV: float | None


class CurvePoint(_Record):
    """Test error, meV, of a network trained on `labels` labels; `low` is within 1 eV of the lowest label."""

    labels: int
    rmse_meV: float
    rmse_low_meV: float | None = None


class Errors(_Record):
    """Errors, meV and eV/Å, on the test labels; `low` is within 1 eV of the lowest label."""

    rmse_meV: float | None = None
    rmse_low_meV: float | None = None
    median_meV: float | None = None
    gradient_rmse_eV_A: float | None = None


class Training(_Record):
    """``training.json``: how well the guest network reproduces its teacher."""

    label_count: int
    train_count: int
    test_count: int
    layers: list[int] = Field(default_factory=list)
    parity: Parity | None = None
    test_rmse_meV: float
    test_rmse_low_meV: float | None = None
    low_count: int | None = None
    gradient_rmse_eV_A: float | None = None
    by_distance: list[DistanceBin] | None = None
    by_energy: list[EnergyBin] | None = None
    variants: dict[str, Errors] = Field(default_factory=dict)
    label_noise_meV: float | None = None
    learning_curve: list[CurvePoint] | None = None


class Percolation(_Record):
    """Lowest energies, eV, at which the network spans one, two and three directions."""

    rank: int | None = None
    barrier_1d_eV: float | None = None
    barrier_2d_eV: float | None = None
    barrier_3d_eV: float | None = None


class Transport(_Record):
    """``transport.json``: the Arrhenius fit and the percolation barriers."""

    activation_energy_eV: float | None
    activation_energy_error_eV: float | None = None
    D0_cm2_s: float | None = None
    percolation: Percolation = Field(default_factory=Percolation)
    activation_energy_exact_eV: dict[str, float | None] = Field(default_factory=dict)
    """Slope of the exact D(T) at single temperatures, K."""
    fits: dict[str, object] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    """What the transport stage warned of."""


class BandCheck(_Record):
    """One hop's energies, eV, along its band by the network and by the teacher."""

    source: int | str
    target: int | str
    image: list[int] = Field(min_length=3, max_length=3)
    barrier_network_eV: float | None = None
    barrier_teacher_eV: float | None = None
    distance_A: list[float] = Field(min_length=1)
    energy_network_eV: list[float] = Field(min_length=1)
    energy_teacher_eV: list[float] = Field(min_length=1)

    @model_validator(mode="after")
    def _equally_long(self) -> BandCheck:
        lengths = {len(self.distance_A), len(self.energy_network_eV), len(self.energy_teacher_eV)}
        if len(lengths) > 1:
            raise ValueError(f"distance_A and the two energy lists have different lengths {sorted(lengths)}")
        return self


class SpringRow(_Record):
    """Barriers, eV, of the same hops with one strength of the tethers (0 or None: host relaxed freely)."""

    spring_eV_A2: float | None
    hops: list[float | None]
    largest_displacement_A: float | None = None


class SpringStudy(_Record):
    """Barriers of the hops `pairs` (source, target) under different tethers, a row each."""

    studies: list[SpringRow]
    pairs: list[tuple[int | str, int | str]] = Field(default_factory=list)


class TeacherCheck(_Record):
    """``teacher_check.json``: the current-carrying hops recomputed by the teacher."""

    max_error_eV: float | None
    hops: list[BandCheck] = Field(default_factory=list)
    teacher: str | None = None
    spring_study: list[SpringRow] | None = None


class LabelNoise(_Record):
    """How far labels of the same points, reached differently, are apart, meV."""

    count: int | None = None
    median_meV: float | None = None
    largest_meV: float | None = None


class Evidence(_Record):
    """``evidence.json``: what the case study's own scripts found."""

    label_noise_meV: float | None = None
    label_noise: LabelNoise | None = None
    learning_curve: list[CurvePoint] | None = None
    spring_study: SpringStudy | None = None


class Certificate(_Record):
    """``certificate.json``: whether the count of critical points closes; None if nobody asked."""

    complete: bool | None
    text: str = ""


class HopsPoint(_Record):
    """D, cm²/s, after so many hops of all walkers together."""

    hops: int
    D: float | None
    D_error: float | None = None


class LabelsPoint(_Record):
    """Exact D, cm²/s, of the network that so many labels give, with one prefactor for all hops."""

    labels: int
    D: float | None


class Place(_Record):
    """A site or pass at which symmetry functions are outside the range of the labels."""

    place: str
    functions_outside: int
    farthest_sigma: float
    spread_eV: float | None = None


class Extrapolation(_Record):
    """How many sites and passes were looked at, and which are outside."""

    looked_at: int
    outside: int
    functions: int = 0
    largest_spread_eV: float | None = None
    median_spread_eV: float | None = None
    places: list[Place] = Field(default_factory=list)


class Checks(_Record):
    """``checks.json``: convergence of D at one temperature, K, and extrapolation."""

    temperature: float
    hops: list[HopsPoint] = Field(default_factory=list)
    labels: list[LabelsPoint] = Field(default_factory=list)
    extrapolation: Extrapolation | None = None


class Summary(_Record):
    """``summary.json``: the run in a few numbers; the report takes its wall times from here."""

    wall_seconds: dict[str, float] = Field(default_factory=dict)


class Provenance(_Record):
    """``provenance.json``: what made the run."""

    versions: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)
