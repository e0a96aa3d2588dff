"""What happened to the customer's account before: sign-ins, devices enrolled, changes that come before a takeover.

Known within 30 days, from events at least five seconds older than the transaction.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stream.entities.takeover import COLUMNS
from stream.features.kernel import DAY, Event, kernel, log_plus
from stream.features.registry import Family, Feature

(
    LOGIN, ENROLMENT, CREDENTIAL, CONTACT, REISSUE, LOGINS, LOGIN_DEVICE, ENROLMENT_DEVICE,
) = (COLUMNS.index(name) for name in (
    "login_ms", "enrolment_ms", "credential_ms", "contact_ms", "reissue_ms", "logins_24h",
    "login_other_device", "enrolment_other_device",
))  # fmt: skip


class View(NamedTuple):
    known: bool  # anything at all


@kernel
def look(state: Any, event: Event) -> View:
    """Whether anything is known, so that what did not happen can be told from what nobody told."""
    known = False
    for k in range(LOGINS + 1):
        known = known or not math.isnan(state[k])
    return View(known)


@kernel
def _age(ms: float) -> float:
    return log_plus(max(ms, 0.0) / 1000)


@kernel
def _within_a_day(ms: float, known: bool) -> float:
    if math.isnan(ms):
        return 0.0 if known else np.nan
    return 1.0 if ms <= DAY else 0.0


@kernel
def _login(state: Any, event: Event, view: View) -> float:
    return _age(state[LOGIN])


@kernel
def _enrolment(state: Any, event: Event, view: View) -> float:
    return _age(state[ENROLMENT])


@kernel
def _credential(state: Any, event: Event, view: View) -> float:
    return _age(state[CREDENTIAL])


@kernel
def _contact(state: Any, event: Event, view: View) -> float:
    return _age(state[CONTACT])


@kernel
def _reissue(state: Any, event: Event, view: View) -> float:
    return _age(state[REISSUE])


@kernel
def _logins(state: Any, event: Event, view: View) -> float:
    if math.isnan(state[LOGINS]):
        return 0.0 if view.known else np.nan
    return log_plus(state[LOGINS])


@kernel
def _enrolled(state: Any, event: Event, view: View) -> float:
    return _within_a_day(state[ENROLMENT], view.known)


@kernel
def _reset(state: Any, event: Event, view: View) -> float:
    return _within_a_day(state[CREDENTIAL], view.known)


@kernel
def _moved(state: Any, event: Event, view: View) -> float:
    return _within_a_day(state[CONTACT], view.known)


@kernel
def _login_device(state: Any, event: Event, view: View) -> float:
    return state[LOGIN_DEVICE]


@kernel
def _enrolment_device(state: Any, event: Event, view: View) -> float:
    return state[ENROLMENT_DEVICE]


def _since(name: str, what: str, code: str, compute: Any, neutral: float) -> Feature:
    text = f"{{value}} since {what}"
    return Feature(f"{name}_age", "seconds", 0, 15, f"since {what}", code, text, compute, "log1p", neutral)


def _flag(name: str, what: str, code: str, compute: Any) -> Feature:
    return Feature(name, "flag", 0, 1, what, code, f"{what[0].upper()}{what[1:]}: {{value}}", compute)


FEATURES = (
    _since("login", "the customer last signed in", "LOGIN_RECENT", _login, 11.5),
    _since("enrolment", "a device was last enrolled", "ENROLMENT_RECENT", _enrolment, 14.5),
    _since("credential", "the PIN or password last changed", "CREDENTIALS_RECENT", _credential, 14.5),
    _since("contact", "the address or phone number last changed", "CONTACT_RECENT", _contact, 14.5),
    _since("reissue", "a card was last issued anew", "REISSUE_RECENT", _reissue, 14.5),
    Feature("logins_24h", "sign-ins", 0, 5, "sign-ins of the customer in 24 h, at most 64", "LOGINS_24H_HIGH",
            "{value} sign-ins of this customer within a day", _logins, "log1p", 0.75),
    _flag("enrolled_24h", "a device was enrolled within a day", "ENROLMENT_24H", _enrolled),
    _flag("reset_24h", "the PIN or password was changed within a day", "CREDENTIALS_24H", _reset),
    _flag("moved_24h", "the address or phone number was changed within a day", "CONTACT_24H", _moved),
    _flag("login_other_device", "the last sign-in came from another device", "LOGIN_OTHER_DEVICE", _login_device),
    _flag("enrolment_other_device", "the device enrolled last is another one", "ENROLMENT_OTHER_DEVICE",
          _enrolment_device),
)  # fmt: skip

FAMILY = Family("account", FEATURES, None, look, None, "takeover")
