"""Where: speed since the last place, distance from the card's running home, countries.

Places are unit vectors in integers, so that a mean of places is right across the date line and at the poles, and sums
do not depend on order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.features.kernel import HOUR, MINUTE, Event, kernel, log_plus, wide
from stream.features.registry import Family, Feature

EARTH_KM = 6371.0
QUANTUM = 1 << 30  # parts of the unit vector: 6 mm
MEMORY = 512  # at this many places or countries the habit is halved, so that it follows a move
PATIENCE = 100  # transactions abroad after which a long-standing home country gives way

DTYPE = np.dtype(
    [
        ("home", np.int64, 3),
        ("last_time", np.int64),
        ("last", np.int32, 3),
        ("places", np.int32),
        ("home_country", np.uint16),
        ("home_weight", np.uint16),
        ("last_country", np.uint16),
        ("foreign", np.uint16),
        ("countries", np.uint16),
    ],
    align=True,
)


class View(NamedTuple):
    km_last: float
    km_home: float
    hours: float
    foreign: float
    here: tuple[int, int, int]  # unit vector in integers; nought where the transaction has no place


@kernel
def _located(event: Event) -> bool:
    return abs(event.latitude) <= 90.0 and abs(event.longitude) <= 180.0


@kernel
def _vector(event: Event) -> tuple[int, int, int]:
    latitude, longitude = math.radians(event.latitude), math.radians(event.longitude)
    level = math.cos(latitude) * (QUANTUM - 1)
    return (
        wide(np.rint(level * math.cos(longitude))),
        wide(np.rint(level * math.sin(longitude))),
        wide(np.rint(math.sin(latitude) * (QUANTUM - 1))),
    )


@kernel
def _km(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Great-circle distance of two directions, from their chord."""
    scale_a = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    scale_b = math.sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2])
    if scale_a == 0.0 or scale_b == 0.0:
        return 0.0
    square = 0.0
    for k in range(3):
        side = a[k] / scale_a - b[k] / scale_b
        square += side * side
    return 2 * EARTH_KM * math.asin(min(math.sqrt(square) / 2, 1.0))


@kernel
def look(state: Any, event: Event) -> View:
    """Distances from where the card was and from where it lives."""
    foreign = np.nan
    if event.country > 0 and state.home_country != 0:
        foreign = 0.0 if event.country == state.home_country else 1.0
    if not _located(event):
        return View(np.nan, np.nan, np.nan, foreign, (wide(0), wide(0), wide(0)))
    x, y, z = _vector(event)
    if state.places == 0:
        return View(np.nan, np.nan, np.nan, foreign, (x, y, z))
    here = (float(x), float(y), float(z))
    last = (float(state.last[0]), float(state.last[1]), float(state.last[2]))
    home = (float(state.home[0]), float(state.home[1]), float(state.home[2]))
    return View(
        _km(here, last), _km(here, home), max(abs(event.time - state.last_time), MINUTE) / HOUR, foreign, (x, y, z)
    )


@kernel
def _update_place(state: Any, event: Event, here: tuple[int, int, int]) -> None:
    if state.places >= MEMORY:
        state.places //= 2
        for k in range(3):
            state.home[k] //= 2
    x, y, z = here
    state.home[0] += x
    state.home[1] += y
    state.home[2] += z
    state.places += 1
    if event.time >= state.last_time:
        state.last[0], state.last[1], state.last[2] = x, y, z
        state.last_time = event.time


@kernel
def _update_country(state: Any, event: Event) -> None:
    """The home country is the majority's (Boyer and Moore's vote, with a ceiling so that it can be outvoted)."""
    if state.countries >= MEMORY:
        state.countries //= 2
        state.foreign //= 2
    if event.country == state.home_country:
        state.home_weight = min(state.home_weight + 1, PATIENCE)
    elif state.home_weight == 0:
        state.home_country = event.country
        state.home_weight = 1
    else:
        state.home_weight -= 1
        state.foreign += 1
    state.countries += 1
    state.last_country = event.country


@kernel
def update(state: Any, event: Event, view: View) -> None:
    """Approved transactions say where the card is and lives."""
    if event.declined or not event.attempt:
        return
    if _located(event):
        _update_place(state, event, view.here)
    if event.country > 0:
        _update_country(state, event)


@kernel
def _speed(state: Any, event: Event, view: View) -> float:
    return log_plus(view.km_last / view.hours)


@kernel
def _distance_last(state: Any, event: Event, view: View) -> float:
    return log_plus(view.km_last)


@kernel
def _distance_home(state: Any, event: Event, view: View) -> float:
    return log_plus(view.km_home)


@kernel
def _country_changed(state: Any, event: Event, view: View) -> float:
    if event.country <= 0 or state.last_country == 0:
        return np.nan
    return 0.0 if event.country == state.last_country else 1.0


@kernel
def _is_foreign(state: Any, event: Event, view: View) -> float:
    return view.foreign


@kernel
def _foreign_share(state: Any, event: Event, view: View) -> float:
    return state.foreign / state.countries if state.countries > 0 else np.nan


@kernel
def _ip_mismatch(state: Any, event: Event, view: View) -> float:
    if event.ip_country <= 0 or event.country <= 0:
        return np.nan
    return 0.0 if event.ip_country == event.country else 1.0


@kernel
def _ip_foreign(state: Any, event: Event, view: View) -> float:
    if event.ip_country <= 0 or state.home_country == 0:
        return np.nan
    return 0.0 if event.ip_country == state.home_country else 1.0


FEATURES = (
    Feature("speed", "km/h", 0, 14, "since the last located transaction", "TRAVEL_IMPOSSIBLE",
            "{value} km/h since the last place", _speed, "log1p", 1),
    Feature("distance_last", "km", 0, 10, "from the last located transaction", "PLACE_FAR_FROM_LAST",
            "{value} km from the last place", _distance_last, "log1p", 2),
    Feature("distance_home", "km", 0, 10, "from the mean of the card's places", "PLACE_FAR_FROM_HOME",
            "{value} km from where this card usually is", _distance_home, "log1p", 2),
    Feature("country_changed", "flag", 0, 1, "another country than the transaction before", "COUNTRY_CHANGED",
            "Another country than the transaction before: {value}", _country_changed, usual=0.0),
    Feature("is_foreign", "flag", 0, 1, "not the card's home country", "COUNTRY_FOREIGN",
            "Outside the card's home country: {value}", _is_foreign, usual=0.0),
    Feature("foreign_share", "share", 0, 1, "share of the card's history outside its home country", "COUNTRY_HABIT",
            "{value} of this card's history was abroad", _foreign_share),
    Feature("ip_mismatch", "flag", 0, 1, "the address is in another country than the merchant", "IP_MISMATCH",
            "The internet address is in another country than the merchant: {value}", _ip_mismatch),
    Feature("ip_foreign", "flag", 0, 1, "the address is outside the card's home country", "IP_FOREIGN",
            "The internet address is outside the card's home country: {value}", _ip_foreign, usual=0.0),
)  # fmt: skip

FAMILY = Family("geography", FEATURES, DTYPE, look, update, sees_view=True)
