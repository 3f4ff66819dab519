"""What comes out of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from iondiff.dynamics.trajectory import Trajectory
from iondiff.errors import DynamicsError


@dataclass(frozen=True)
class Run:
    """What came out of a run.

    Attributes
    ----------
    atoms
        Last configuration, unwrapped, with velocities.
    log
        Table: `step`, `time_ps`, `temperature_K`, `potential_eV`, `kinetic_eV`, `volume_A3`, `pressure_GPa`
        (where the potential has one), `target_K`; and with a fixed cell `conserved_eV`: energy less the heat
        of the thermostat, which an exact integrator would keep.
    trajectory
        The file, or None; `frames()` opens it.
    steps
        Steps done, those before a resumption included.
    seconds
        Wall time of this call.
    neighbour_builds
        How often the neighbour list was made; 0 with a calculator.
    """

    atoms: Atoms
    log: pd.DataFrame
    trajectory: Path | None
    steps: int
    seconds: float
    neighbour_builds: int = 0

    def frames(self) -> Trajectory:
        """The trajectory, opened.

        Raises
        ------
        DynamicsError
            None was written.
        """
        if self.trajectory is None:
            raise DynamicsError(
                "this run wrote no trajectory; pass trajectory='run.iontraj' to iondiff.dynamics.run"
            )
        return Trajectory(self.trajectory)

    @property
    def drift_meV_per_atom_ps(self) -> float:  # noqa: N802 - the unit keeps its spelling
        """Slope of the conserved energy: how much heat the time step makes.

        Raises
        ------
        DynamicsError
            The cell moved, or the log has fewer than three rows.
        """
        if "conserved_eV" not in self.log or len(self.log) < 3:
            raise DynamicsError(
                "an energy drift needs a fixed cell and at least three rows of log; use a longer run or "
                "log_every"
            )
        slope = np.polyfit(self.log["time_ps"], self.log["conserved_eV"], 1)[0]
        return float(slope) * 1000.0 / len(self.atoms)
