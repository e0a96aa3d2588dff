"""How it was paid and what the checks said. Codes are places in the vocabularies of `stream.events`; 0 is missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.events import AVS_RESULTS, CHANNELS, CVV_RESULTS, ENTRY_MODES, THREE_DS, TYPES
from stream.features.kernel import Event, flag_of, kernel
from stream.features.registry import Family, Feature

_CASH = TYPES.index("cash")
_ECOM, _ATM, _MOTO = CHANNELS.index("ecom"), CHANNELS.index("atm"), CHANNELS.index("moto")
_KEYED, _FALLBACK, _CONTACTLESS = (ENTRY_MODES.index(mode) for mode in ("keyed", "fallback", "contactless"))
_NO_MATCH, _NOT_PROVIDED = CVV_RESULTS.index("no_match"), CVV_RESULTS.index("not_provided")
_AVS_PARTIAL, _AVS_NO_MATCH = AVS_RESULTS.index("partial"), AVS_RESULTS.index("no_match")
_FAILED, _NONE = THREE_DS.index("failed"), THREE_DS.index("none")
# How easily a copied card passes: chip and contactless least, a stripe read after a failed chip most.
_RISK = {"chip": 0.0, "contactless": 0.0, "swipe": 0.5, "fallback": 1.0, "keyed": 0.75, "stored": 0.25, "?": 0.5}
_ENTRY_RISK = (np.nan, *(_RISK[mode] for mode in ENTRY_MODES[1:]))


@kernel
def look(state: Any, event: Event) -> int:
    """Nothing is shared."""
    return 0


@kernel
def _is_ecom(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.channel, _ECOM)


@kernel
def _is_atm(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.channel, _ATM)


@kernel
def _is_moto(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.channel, _MOTO)


@kernel
def _entry_risk(state: Any, event: Event, view: Any) -> float:
    return _ENTRY_RISK[min(event.entry_mode, len(_ENTRY_RISK) - 1)]


@kernel
def _is_keyed(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.entry_mode, _KEYED)


@kernel
def _is_fallback(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.entry_mode, _FALLBACK)


@kernel
def _is_contactless(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.entry_mode, _CONTACTLESS)


@kernel
def _cvv_no_match(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.cvv_result, _NO_MATCH)


@kernel
def _cvv_not_provided(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.cvv_result, _NOT_PROVIDED)


@kernel
def _avs_mismatch(state: Any, event: Event, view: Any) -> float:
    if event.avs_result == _AVS_PARTIAL:
        return 0.5
    return flag_of(event.avs_result, _AVS_NO_MATCH)


@kernel
def _three_ds_failed(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.three_ds, _FAILED)


@kernel
def _three_ds_none(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.three_ds, _NONE)


@kernel
def _is_declined(state: Any, event: Event, view: Any) -> float:
    return 1.0 if event.declined else 0.0


@kernel
def _is_cash(state: Any, event: Event, view: Any) -> float:
    return flag_of(event.type, _CASH)


def _flag(name: str, meaning: str, code: str, compute: Any) -> Feature:
    return Feature(name, "flag", 0, 1, meaning, code, f"{meaning[0].upper()}{meaning[1:]}: {{value}}", compute)


FEATURES = (
    _flag("is_ecom", "paid over the internet", "CHANNEL_ECOM", _is_ecom),
    _flag("is_atm", "at a cash machine", "CHANNEL_ATM", _is_atm),
    _flag("is_moto", "ordered by mail or telephone", "CHANNEL_MOTO", _is_moto),
    Feature("entry_risk", "1", 0, 1, "how easily a copied card passes this entry mode", "ENTRY_RISKY",
            "The card was read in a way that copies pass easily ({value} of 1)", _entry_risk),
    _flag("is_keyed", "card number keyed in", "ENTRY_KEYED", _is_keyed),
    _flag("is_fallback", "stripe read after the chip failed", "ENTRY_FALLBACK", _is_fallback),
    _flag("is_contactless", "contactless", "ENTRY_CONTACTLESS", _is_contactless),
    _flag("cvv_no_match", "the security code does not match", "CVV_NO_MATCH", _cvv_no_match),
    _flag("cvv_not_provided", "no security code was given", "CVV_MISSING", _cvv_not_provided),
    Feature("avs_mismatch", "1", 0, 1, "the billing address does not match (partly: a half)", "AVS_MISMATCH",
            "The billing address does not match ({value} of 1)", _avs_mismatch),
    _flag("three_ds_failed", "the card holder's authentication failed", "THREE_DS_FAILED", _three_ds_failed),
    _flag("three_ds_none", "the card holder was not authenticated", "THREE_DS_NONE", _three_ds_none),
    _flag("is_declined", "the attempt was declined", "DECLINED", _is_declined),
    _flag("is_cash", "cash", "TYPE_CASH", _is_cash),
)  # fmt: skip

FAMILY = Family("context", FEATURES, None, look, None)
