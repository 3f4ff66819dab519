"""How interactions change a barrier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import cfunc
from numba.core.errors import NumbaError

from kmc.network import GraphError

#: rule(barrier, before, after) -> barrier, all eV: the barrier without interactions, and the interaction
#: energy of the carrier where it is and where it goes.
BarrierRule: TypeAlias = Callable[[float, float, float], float]
_SIGNATURE = "float64(float64, float64, float64)"


@cfunc(_SIGNATURE, cache=True)
def kinetically_resolved(barrier: float, before: float, after: float) -> float:
    """The saddle feels half of what the end feels more than the start."""
    return barrier + 0.5 * (after - before)


@cfunc(_SIGNATURE, cache=True)
def initial_state(barrier: float, before: float, after: float) -> float:  # noqa: ARG001
    """The saddle feels nothing: only the start counts."""
    return barrier - before


RULES = {"kinetically-resolved": kinetically_resolved, "initial-state": initial_state}


def compiled_rule(rule: str | BarrierRule) -> Any:
    """A rule as machine code.

    Raises
    ------
    GraphError
        The rule is unknown, cannot be compiled, or does not give finite numbers.
    """
    if isinstance(rule, str):
        if rule not in RULES:
            raise GraphError(
                f"barrier_rule is {rule!r}; choose one of {', '.join(RULES)}, or give a function"
            )
        return RULES[rule]
    if not callable(rule):
        raise GraphError(f"barrier_rule is {rule!r}; wanted a name or a function (barrier, before, after)")
    try:
        plain: Any = getattr(rule, "py_func", rule)  # a function that was compiled already
        made = cfunc(_SIGNATURE)(plain)
        sample = [made.ctypes(0.3, before, 0.1) for before in (0.0, 0.1)]
    except (NumbaError, TypeError, ValueError) as error:
        raise GraphError(
            f"barrier_rule cannot be compiled ({type(error).__name__}); write it with numbers and numpy "
            "only: (barrier, before, after) -> barrier, in eV"
        ) from None
    if not np.isfinite(sample).all():
        raise GraphError(f"barrier_rule gives {sample}; wanted a finite barrier in eV")
    return made
