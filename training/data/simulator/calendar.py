"""How busy a day is: weekdays, paydays, sales and Christmas."""

import datetime as dt

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.rows import Array

DAY_MS = 86_400_000


def day_factors(bank: Bank, start: dt.datetime, days: int) -> tuple[Array, Array]:
    """Relative number of transactions of each day, and which days are a seasonal peak.

    Parameters
    ----------
    bank : Bank
        Whose parameters are used.
    start : datetime.datetime
        First day, UTC.
    days : int
        Length of the history.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Factors around 1, shape (days,), and a boolean mask of the same shape.
    """
    rng = np.random.default_rng([0xCA1, bank.seed])
    sale_day, payday = int(rng.integers(20, 340)), int(rng.integers(24, 31))
    factors, peaks = np.ones(days), np.zeros(days, dtype=bool)
    for index in range(days):
        date = (start + dt.timedelta(days=index)).date()
        if date.weekday() >= 5:
            factors[index] *= bank.habits.weekend
        if date.day == payday:
            factors[index] *= 1.15
        christmas = date.month == 12 and 8 <= date.day <= 24
        sale = 0 <= (date.timetuple().tm_yday - sale_day) % 91 < 4
        peaks[index] = christmas or sale
        if peaks[index]:
            factors[index] *= bank.look_alikes.peak_factor
    return factors, peaks
