"""From a decided transaction to the alert an investigator reads: masked, explained, and named after its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import msgspec
import numpy as np

from stream.codec.masking import luhn, mask_text
from stream.codec.roles import ROLES, Roles
from stream.codec.tokens import canonical_card
from stream.decide import Cuts, alert_id, case_id, threshold_of
from stream.events import F32, OUTCOMES, TP, Alert, Flag, ModelRef, Reason, Source, Transaction
from stream.profile import CARDS, StreamProfile

SCHEMA_VERSION = "1.0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Decision:
    """One transaction whose outcome is not ``pass``, with all that its alert tells."""

    tp: TP
    offset: int
    row: Transaction
    card: str
    event_time: int
    amount_minor: int
    flags: int
    outcome: int
    score: float
    scores: dict[str, float]
    x: F32
    reasons: list[Reason]
    rules: list[str]
    profile_version: str


def iso(ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _holds_card(value: Any) -> bool:
    """Whether a number has a card number's length, first digit (1 is taken by times) and check digit."""
    if not isinstance(value, int | float) or not 2e12 <= value < 1e19:
        return False
    digits = str(int(value))
    return digits[0] != "1" and luhn(digits.encode())


def masked(row: Transaction, token: str, roles: Roles = CARDS.roles) -> dict[str, Any]:
    """The transaction, in its stream's words, without its card number: a token in its place, and the first six digits.

    Any other text that holds a card number is masked; a number that is one is left out. The order is that of `ROLES`.
    """
    given = msgspec.structs.asdict(row)
    fields = {
        name: mask_text(value) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None and not _holds_card(value)
    }
    if "event_time" not in fields:
        fields["event_time"] = mask_text(str(int(row.event_time)))
    fields["card_id"] = token
    card = canonical_card(row.card_id)
    if "bin" not in fields and 13 <= len(card) <= 19 and card.isascii() and card.isdigit() and luhn(card.encode()):
        fields["bin"] = card[:6]
    return {roles.names[role]: fields[role] for role in ROLES if role in fields and role in roles.names}


def features_of(x: F32, names: Sequence[str] = CARDS.feature_names) -> dict[str, float | None]:
    """Feature values on the models' scale, rounded to a millionth; None where missing."""
    values = np.round(x.astype(np.float64), 6).tolist()
    return {name: None if isnan(value) else value for name, value in zip(names, values, strict=True)}


@dataclass(slots=True)
class AlertWriter:
    """Writes alerts of one topic and panel.

    Parameters
    ----------
    topic_id
        Id of the source topic; part of every alert's id.
    panel_hash
        Of all that decided: models, fusion, features, thresholds, rules and mapping.
    case_hours
        Span of a case.
    profile
        The stream's: names of its fields and features.
    clock
        Gives the time of detection.
    """

    topic_id: str
    panel_hash: str
    case_hours: float
    profile: StreamProfile = CARDS
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def write(self, decision: Decision, models: Sequence[ModelRef], cuts: Cuts, degraded: bool) -> Alert:
        """Build one alert; epoch, sequence and hashes are the sink's to fill."""
        d = decision
        known = not np.isnan(d.score)
        return Alert(
            alert_id=alert_id(self.topic_id, d.tp.partition, d.offset),
            schema_version=SCHEMA_VERSION,
            kind="transaction",
            outcome=OUTCOMES[d.outcome],
            score=round(d.score, 6) if known else None,
            threshold=round(threshold_of(d.outcome, cuts), 6),
            scores=d.scores,
            reasons=d.reasons,
            transaction=masked(d.row, d.card, self.profile.roles),
            features=features_of(d.x, self.profile.feature_names),
            panel_hash=self.panel_hash,
            models=list(models),
            rules=d.rules,
            case_id=case_id(d.card, d.event_time, self.case_hours),
            customer_id=None if d.row.customer_id is None else mask_text(d.row.customer_id),
            amount_base=d.amount_minor / 100,
            degraded=degraded,
            late=bool(d.flags & Flag.LATE),
            duplicate=bool(d.flags & Flag.DUPLICATE),
            clock_skew=bool(d.flags & Flag.CLOCK_SKEW),
            profile_version=d.profile_version,
            event_time=iso(d.event_time),
            detected_at=self.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            source=Source(d.tp.topic, d.tp.partition, d.offset),
        )


def rounded_scores(names: Sequence[str], scores: F32) -> list[dict[str, float]]:
    """Each row's calibrated score by detector."""
    rows: list[list[float]] = np.round(scores.astype(np.float64), 6).tolist()
    return [dict(zip(names, row, strict=True)) for row in rows]
