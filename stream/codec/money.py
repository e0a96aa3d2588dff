"""Currencies: a dated table of rates, so that sums never mix them."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from stream.errors import SettingError
from stream.events import F64

_SHIPPED = Path(__file__).with_name("rates.toml")
_REMEMBERED = 4096


class Rates(dict[str, float]):
    """``currency -> value of one unit in the base currency``; NaN for a currency the table lacks.

    Parameters
    ----------
    path
        TOML file with ``date``, ``[per_euro]`` and ``[digits]``; the shipped, illustrative one when None.
    base
        ISO 4217 code that amounts are compared in.

    Raises
    ------
    SettingError
        The file cannot be read, a rate is no positive number, or the base currency is not in it.
    """

    def __init__(self, path: Path | None = None, base: str = "EUR") -> None:
        source = path or _SHIPPED
        try:
            table = tomllib.loads(source.read_text(encoding="utf-8"))
            per_euro = {str(code).upper(): float(rate) for code, rate in table["per_euro"].items()}
            self._digits = {str(code).upper(): int(digits) for code, digits in table.get("digits", {}).items()}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise SettingError(
                f"setting engine.rates: {source} is no table of rates; it needs [per_euro] with CODE = number"
            ) from None
        wrong = [code for code, rate in per_euro.items() if not (math.isfinite(rate) and rate > 0)]
        if wrong or base not in per_euro:
            what = f"the rate of {wrong[0]} is not positive" if wrong else f"the base currency {base} is missing"
            raise SettingError(f"setting engine.rates: in {source} {what}; mend the table or engine.base_currency")
        self._known = {code: per_euro[base] / rate for code, rate in per_euro.items()}
        super().__init__(self._known)
        self.base, self.date = base, str(table.get("date", "undated"))

    def __missing__(self, currency: str) -> float:
        rate = self._known.get(currency.strip().upper(), math.nan)
        if len(self) < _REMEMBERED:
            self[currency] = rate
        return rate

    def column(self, currencies: Sequence[str]) -> F64:
        """Rate of each currency, float64 (n,); NaN where it is unknown."""
        return np.fromiter(map(self.__getitem__, currencies), np.float64, len(currencies))

    def digits(self, currency: str) -> int:
        """Minor digits of a currency (ISO 4217): 2 unless the table says otherwise."""
        return self._digits.get(currency.strip().upper(), 2)


@lru_cache(maxsize=1)
def shipped_rates() -> Rates:
    """The rates that travel with the package, to the euro."""
    return Rates()
