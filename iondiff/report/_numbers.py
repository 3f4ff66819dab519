"""Numbers as people read them: rounded where their error begins, powers of ten written out, no silent NaN."""

from __future__ import annotations

import math

MISSING = "–"
MINUS = "−"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_number(value: object) -> bool:
    """Whether `value` is a finite number (True and False are not numbers here)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def rounded(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits, as a plain decimal where that is short.

    >>> rounded(1234567.0), rounded(0.012345), rounded(3.1e-9), rounded(None)
    ('1,230,000', '0.0123', '3.10 × 10⁻⁹', '–')
    """
    if value is None or not is_number(value):
        return MISSING
    if value == 0:
        return "0"
    value = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 7:
        return f"{_fixed(value / 10.0**exponent, digits - 1)} × 10{_power(exponent)}"
    return _fixed(value, max(digits - 1 - exponent, 0))


def with_error(value: float | None, error: float | None, unit: str = "") -> str:
    """`value` ± `error`, both cut where the error's second digit stands (first, if that is above 2).

    >>> with_error(0.8312, 0.0214, "eV"), with_error(0.8312, 0.0612, "eV"), with_error(0.8312, None, "eV")
    ('0.831 ± 0.021 eV', '0.83 ± 0.06 eV', '0.831 eV')
    """
    if not is_number(value):
        return MISSING
    if error is None or not is_number(error) or error <= 0:
        return _with_unit(rounded(value), unit)
    places = _error_places(error)
    return _with_unit(f"{_fixed(value or 0.0, places)} ± {_fixed(error, places)}", unit)


def scientific(value: float | None, error: float | None = None, unit: str = "") -> str:
    """`value` ± `error` over one common power of ten.

    >>> scientific(3.126e-9, 2.1e-10, "cm²/s"), scientific(3.126e-9)
    ('(3.13 ± 0.21) × 10⁻⁹ cm²/s', '3.13 × 10⁻⁹')
    """
    if value is None or not is_number(value):
        return MISSING
    if value == 0:
        return _with_unit("0", unit)
    exponent = math.floor(math.log10(abs(float(f"{value:.2e}"))))
    scaled = value / 10.0**exponent
    if error is None or not is_number(error) or error <= 0:
        return _with_unit(f"{_fixed(scaled, 2)} × 10{_power(exponent)}", unit)
    scaled_error = error / 10.0**exponent
    places = min(_error_places(scaled_error), 6)
    return _with_unit(
        f"({_fixed(scaled, places)} ± {_fixed(scaled_error, places)}) × 10{_power(exponent)}", unit
    )


def duration(seconds: float | None) -> str:
    """A wall time in the unit a person would choose.

    >>> duration(0.42), duration(75.0), duration(7260.0)
    ('0.4 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds is None or not is_number(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`number` with its noun.

    >>> count(1, "hop"), count(1200, "hop")
    ('1 hop', '1,200 hops')
    """
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}"


def _error_places(error: float) -> int:
    """Decimal places that show two digits of an error that starts with 1 or 2, one digit of any other."""
    mantissa, exponent = f"{error:.1e}".split("e")
    return max(int(float(mantissa) < 3) - int(exponent), 0)


def _fixed(value: float, places: int) -> str:
    return f"{value:,.{places}f}".replace("-", MINUS)


def _power(exponent: int) -> str:
    return str(exponent).translate(_SUPERSCRIPTS)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text
