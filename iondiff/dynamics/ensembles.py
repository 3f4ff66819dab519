"""Which ensemble a run samples, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass

from iondiff.dynamics import _integrators as steps
from iondiff.errors import DynamicsError

_THERMOSTATS = {
    "none": steps.NO_THERMOSTAT,
    "langevin": steps.LANGEVIN,
    "bussi": steps.BUSSI,
    "nose-hoover": steps.NOSE_HOOVER,
}
_CELLS = {
    "fixed": steps.FIXED_CELL,
    "isotropic": steps.ISOTROPIC,
    "anisotropic": steps.ANISOTROPIC,
    "flexible": steps.FLEXIBLE,
}


@dataclass(frozen=True)
class Ensemble:
    """Thermostat and cell.

    Attributes
    ----------
    thermostat
        ``"none"``, ``"langevin"`` (local friction, BAOAB), ``"bussi"`` (stochastic velocity rescaling:
        canonical and hardly felt by diffusion) or ``"nose-hoover"`` (deterministic chains).
    cell
        ``"fixed"``; ``"isotropic"``: one stochastic scale; ``"anisotropic"``: three, angles kept;
        ``"flexible"``: all six components of the strain.
    thermostat_fs
        Time of the thermostat: 1/friction, or the decay time of the kinetic energy.
    barostat_fs
        Time in which the volume forgets, if `compressibility_per_GPa` is that of the material.
    compressibility_per_GPa
        1/GPa; it sets the pace of the cell and nothing else.
    """

    thermostat: str = "bussi"
    cell: str = "fixed"
    thermostat_fs: float = 100.0
    barostat_fs: float = 1000.0
    compressibility_per_GPa: float = 0.01

    def __post_init__(self) -> None:
        if self.thermostat not in _THERMOSTATS:
            raise DynamicsError(f"thermostat is {self.thermostat!r}; wanted one of {', '.join(_THERMOSTATS)}")
        if self.cell not in _CELLS:
            raise DynamicsError(f"cell is {self.cell!r}; wanted one of {', '.join(_CELLS)}")
        for name in ("thermostat_fs", "barostat_fs", "compressibility_per_GPa"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DynamicsError(f"{name} is {value}; wanted a positive number")
        if self.cell != "fixed" and self.thermostat in {"none", "nose-hoover"}:
            raise DynamicsError(
                f"a cell that moves with thermostat {self.thermostat!r}; the cell takes stochastic steps at "
                "a temperature, so that its thermostat has to be 'bussi' or 'langevin'"
            )

    @property
    def thermostated(self) -> bool:
        """Whether a temperature has to be given."""
        return self.thermostat != "none"

    @property
    def moves_cell(self) -> bool:
        """Whether a pressure has to be given."""
        return self.cell != "fixed"

    def codes(self) -> tuple[int, int]:
        """Thermostat and barostat as the compiled step knows them."""
        return _THERMOSTATS[self.thermostat], _CELLS[self.cell]


#: Names for the usual ones; `_` and capitals do not matter.
NAMES = {
    "nve": Ensemble("none"),
    "nvt": Ensemble("bussi"),
    "bussi": Ensemble("bussi"),
    "csvr": Ensemble("bussi"),
    "langevin": Ensemble("langevin", thermostat_fs=1000.0),
    "nose-hoover": Ensemble("nose-hoover"),
    "npt": Ensemble("bussi", "isotropic"),
    "npt-isotropic": Ensemble("bussi", "isotropic"),
    "npt-anisotropic": Ensemble("bussi", "anisotropic"),
    "npt-flexible": Ensemble("bussi", "flexible"),
    "npt-langevin": Ensemble("langevin", "isotropic", thermostat_fs=1000.0),
}


def as_ensemble(value: str | Ensemble) -> Ensemble:
    """An ensemble, or one of the :data:`NAMES`."""
    if isinstance(value, Ensemble):
        return value
    name = str(value).lower().replace("_", "-").replace("é", "e")
    if name not in NAMES:
        raise DynamicsError(
            f"ensemble is {value!r}; wanted an iondiff.dynamics.Ensemble or one of {', '.join(NAMES)}"
        )
    return NAMES[name]
