"""Decorators of functions that only compiled code calls.

They get no wrappers for Python and C, which would be three quarters of what there is to compile. `inner`
stays a function; `written_out` is copied into its callers before they are typed: whatever calls others is
optimised together with all that they call, so that every layer of calls costs seconds once. `always_inlined`
asks LLVM for it, after typing: for vectors, whose way through memory would cost more than the work.
"""

from __future__ import annotations

from typing import Any

from numba import njit

_BARE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # not in Numba's type stubs

inner = njit(cache=True, error_model="numpy", **_BARE)
written_out = njit(cache=True, error_model="numpy", inline="always")
always_inlined = njit(cache=True, error_model="numpy", forceinline=True, **_BARE)
