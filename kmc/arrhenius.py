"""Diffusivity against temperature: sweeps, Arrhenius fits, a warning where one line will not do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from kmc.estimate import Estimate, NotConvergedError
from kmc.exact import solve
from kmc.network import Floats, Graph, GraphError, Network, compile_graph
from kmc.rates import KB, check_temperature
from kmc.transport import tracer_diffusivity
from kmc.walkers import simulate

METHODS = ("exact", "walk")
#: A quadratic term this many standard errors from zero is called curvature, if it also bends D by more than
#: ...
CURVATURE_SIGMAS = 3.0
#: ... this (in ln D) at the ends of the data.
CURVATURE_EFFECT = 0.1


class CurvatureWarning(UserWarning):
    """One activation energy does not describe the data."""


class NotConvergedWarning(UserWarning):
    """Rows whose walk could not support its number were left out."""


def sweep(
    graph: Graph | Network,
    temperatures: Iterable[float] | float,
    *,
    method: str = "exact",
    executor: Executor | None = None,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Isotropic diffusivity at several temperatures.

    Parameters
    ----------
    graph
        A hopping graph (contract 2).
    temperatures
        K.
    method
        "exact", or "walk" (kinetic Monte Carlo).
    executor
        Any `concurrent.futures.Executor` (a process pool, a Dask client's): one temperature is one task.
    seed
        For "walk"; each temperature walks with the seed (seed, its place in the list).
    options
        Further arguments of `kmc.diffusion_tensor` or `kmc.simulate`.

    Returns
    -------
    pandas.DataFrame
        temperature (K), D (cm²/s), D_error (cm²/s; 0 for "exact"), method; for "walk" also converged: False
        where the walk was too short to support its number, and D is only what it said so far.

    Raises
    ------
    GraphError
        A temperature, the method or the graph does not fit.
    """
    if method not in METHODS:
        raise GraphError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    given = list(temperatures) if isinstance(temperatures, Iterable) else [temperatures]
    chosen = [check_temperature(t) for t in given]
    if not chosen:
        raise GraphError("no temperatures were given; list at least one, in K")
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    task = partial(_point, network, method, seed, options)
    places = range(len(chosen))
    results = (
        list(executor.map(task, chosen, places))
        if executor
        else [task(t, i) for t, i in zip(chosen, places, strict=True)]
    )
    table = pd.DataFrame(
        {
            "temperature": chosen,
            "D": [value for value, _, _ in results],
            "D_error": [error for _, error, _ in results],
            "method": method,
        }
    )
    if method == "walk":
        table["converged"] = [converged for _, _, converged in results]
    return table


def _point(
    network: Network, method: str, seed: int, options: dict[str, Any], temperature: float, place: int
) -> tuple[float, float, bool]:
    """One row of a sweep; a plain function, so that it travels to other processes."""
    if method == "exact":
        return float(np.trace(solve(network, temperature, **options).tensor)) / 3.0, 0.0, True
    own_seed = int(np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    run = simulate(network, temperature, seed=own_seed, **options)
    try:
        estimate, converged = tracer_diffusivity(run), True
    except NotConvergedError as refusal:
        estimate, converged = refusal.estimate, False
    return float(estimate.value), float(estimate.error), converged


@dataclass(frozen=True)
class ArrheniusFit:
    """D = D0 exp(−Ea / kT), fitted to ln D.

    Attributes
    ----------
    Ea, Ea_error
        eV.
    D0
        cm²/s.
    ln_D0_error
        Standard error of ln D0.
    covariance
        (2, 2), of (ln D0, Ea in eV).
    degrees_of_freedom
        Points minus two; infinite where the data brought their own errors.
    chi_square
        Weighted sum of squared residuals; of weight 1 where the data brought no errors.
    curvature, curvature_error
        c in ln D = a + b x + c x², x = 1/kT in 1/eV, eV²; None below three temperatures.
    temperatures
        (points,), K.
    method
        Of the rows that were fitted.
    """

    Ea: float
    Ea_error: float
    D0: float
    ln_D0_error: float
    covariance: Floats
    degrees_of_freedom: float
    chi_square: float
    curvature: float | None
    curvature_error: float | None
    temperatures: Floats
    method: str

    def __str__(self) -> str:
        if not np.isfinite(self.Ea_error):
            return f"{self.Ea:.4f} eV (two temperatures, no error), D0 {self.D0:.3e} cm²/s"
        return f"{self.Ea:.4f} ± {self.Ea_error:.4f} eV, D0 {self.D0:.3e} cm²/s"

    def extrapolate(self, temperature: float) -> Estimate:
        """D at a temperature, cm²/s; the error is that of the line, and says nothing about curvature."""
        x = 1.0 / (KB * check_temperature(temperature))
        direction = np.array([1.0, -x])
        value = float(np.exp(np.log(self.D0) - self.Ea * x))
        known = bool(np.isfinite(self.covariance).all())
        spread = float(np.sqrt(direction @ self.covariance @ direction)) if known else float("inf")
        return Estimate(value, value * spread, self.degrees_of_freedom)

    def Ea_interval(self, confidence: float = 0.95) -> tuple[float, float]:  # noqa: N802
        """Confidence interval of the activation energy, eV."""
        low, high = Estimate(self.Ea, self.Ea_error, self.degrees_of_freedom).interval(confidence)
        return float(low), float(high)


def fit_arrhenius(table: pd.DataFrame, *, method: str | None = None) -> ArrheniusFit:
    """Fit an Arrhenius line to a sweep.

    Rows with errors are weighted by them. Where there are none (exact data, or no such column) every row
    weighs the same in ln D and the errors come from the scatter about the line.

    Parameters
    ----------
    table
        Columns temperature (K) and D (cm²/s); D_error (cm²/s) and method if there are any.
    method
        Which rows to fit, where the table holds several methods.

    Raises
    ------
    GraphError
        A column is missing, fewer than two temperatures, D not above zero, or several methods and none
        chosen.

    Warns
    -----
    NotConvergedWarning
        Rows marked as not converged were left out.
    CurvatureWarning
        A quadratic term is significant: one activation energy does not describe the data.
    """
    rows, chosen = _rows(table, method)
    rows = _converged(rows)
    temperatures = _column(rows, "temperature")
    diffusivity = _column(rows, "D")
    errors = _column(rows, "D_error") if "D_error" in rows else np.zeros(len(rows))
    _refuse_rows(temperatures, diffusivity, errors)
    x, y = 1.0 / (KB * temperatures), np.log(diffusivity)
    weighted = bool((errors > 0).any())
    sigma = errors / diffusivity if weighted else np.ones(len(rows))
    line, covariance, chi_square = _polynomial(x, y, sigma, 1)
    freedom = float("inf") if weighted else float(len(rows) - 2)
    if not weighted and freedom == 0:
        covariance = np.full((2, 2), np.inf)  # two points say nothing about their scatter
    elif not weighted:
        covariance = covariance * (chi_square / freedom)
    curvature, curvature_error = _curvature(x, y, sigma, weighted=weighted)
    if curvature is not None and curvature_error is not None:
        _warn_of_curvature(curvature, curvature_error, x, temperatures)
    return ArrheniusFit(
        Ea=float(-line[1]),
        Ea_error=float(np.sqrt(covariance[1, 1])),
        D0=float(np.exp(line[0])),
        ln_D0_error=float(np.sqrt(covariance[0, 0])),
        covariance=covariance
        * np.array([[1.0, -1.0], [-1.0, 1.0]]),  # of (ln D0, Ea), Ea being minus the slope
        degrees_of_freedom=freedom if freedom > 0 else float("inf"),
        chi_square=chi_square,
        curvature=curvature,
        curvature_error=curvature_error,
        temperatures=temperatures,
        method=chosen,
    )


def _warn_of_curvature(curvature: float, error: float, x: Floats, temperatures: Floats) -> None:
    bend = abs(curvature) * (0.5 * np.ptp(x)) ** 2
    if bend > CURVATURE_EFFECT and abs(curvature) > CURVATURE_SIGMAS * error:
        warnings.warn(
            f"ln D bends by {bend:.2g} over {temperatures.min():g}-{temperatures.max():g} K: one activation "
            "energy does not describe these data; fit a narrower range or use kmc.activation_energy at each "
            "temperature",
            CurvatureWarning,
            stacklevel=3,
        )


def _rows(table: pd.DataFrame, method: str | None) -> tuple[pd.DataFrame, str]:
    missing = [name for name in ("temperature", "D") if name not in table]
    if missing:
        raise GraphError(
            f"the table has no column {missing[0]!r}, only {list(table.columns)}; kmc.sweep makes one "
            "that fits"
        )
    if "method" not in table:
        return table, method or "unknown"
    present = list(dict.fromkeys(table["method"]))
    if method is None and len(present) > 1:
        raise GraphError(
            f"the table holds several methods ({', '.join(map(str, present))}); say method= which to fit"
        )
    if method is not None and method not in present:
        raise GraphError(f"method is {method!r}; the table holds {', '.join(map(str, present)) or 'no rows'}")
    chosen = method if method is not None else (present[0] if present else "unknown")
    return table[table["method"] == chosen], str(chosen)


def _converged(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without those that a sweep marked as not converged."""
    if "converged" not in rows:
        return rows
    good = rows["converged"].to_numpy(dtype=bool)
    if not good.all():
        left_out = ", ".join(f"{t:g}" for t in rows["temperature"][~good])
        warnings.warn(
            f"the walks at {left_out} K did not converge and are left out; walk more hops there",
            NotConvergedWarning,
            stacklevel=3,
        )
    return rows[good]


def _column(rows: pd.DataFrame, name: str) -> Floats:
    try:
        return rows[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise GraphError(
            f"the column {name!r} holds something that is not a number: {rows[name].tolist()!r}"
        ) from None


def _refuse_rows(temperatures: Floats, diffusivity: Floats, errors: Floats) -> None:
    for temperature in temperatures:
        check_temperature(float(temperature))
    if len(np.unique(temperatures)) < 2:
        raise GraphError(
            "an Arrhenius line needs at least two temperatures; the table has "
            f"{np.unique(temperatures).tolist()}"
        )
    bad = ~(np.isfinite(diffusivity) & (diffusivity > 0))
    if bad.any():
        where = int(np.argmax(bad))
        raise GraphError(
            f"D at {temperatures[where]:g} K is {diffusivity[where]}; an Arrhenius line needs D above "
            "zero, leave that row out"
        )
    if not (np.isfinite(errors) & (errors >= 0)).all():
        raise GraphError(f"D_error holds {errors.tolist()}; wanted finite numbers of at least zero")
    if (errors > 0).any() and not (errors > 0).all():
        where = int(np.argmin(errors > 0))
        raise GraphError(
            f"D_error is zero at {temperatures[where]:g} K but not everywhere; fit exact and measured "
            "rows apart (method=)"
        )


def _polynomial(x: Floats, y: Floats, sigma: Floats, degree: int) -> tuple[Floats, Floats, float]:
    """Weighted least squares: coefficients from the constant up, covariance for the given sigmas, and χ²."""
    middle, width = x.mean(), max(float(np.ptp(x)), 1e-300)
    design = np.vander((x - middle) / width, degree + 1, increasing=True) / sigma[:, None]
    q, r = np.linalg.qr(design)
    inverse = np.linalg.inv(r)
    # Back from the scaled variable to x: (x − m)/w to a power, expanded.
    back = np.zeros((degree + 1, degree + 1))
    for power in range(degree + 1):
        back[: power + 1, power] = np.poly1d([1.0 / width, -middle / width]).__pow__(power).coeffs[::-1]
    transform = back @ inverse
    coefficients = transform @ (q.T @ (y / sigma))
    residual = y / sigma - q @ (q.T @ (y / sigma))
    return coefficients, transform @ transform.T, float(residual @ residual)


def _curvature(x: Floats, y: Floats, sigma: Floats, *, weighted: bool) -> tuple[float | None, float | None]:
    """Quadratic coefficient and its error; exact data have no error but rounding."""
    if len(np.unique(x)) < 3:
        return None, None
    coefficients, covariance, chi_square = _polynomial(x, y, sigma, 2)
    scale = 1.0 if weighted else chi_square / max(len(x) - 3, 1)
    return float(coefficients[2]), float(np.sqrt(covariance[2, 2] * scale))
