"""What alerts save and cost: frauds and money before the first alert, false declines at fixed money caught."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream.features import FEATURE_NAMES, FEATURES
from training.cases import count_cases
from training.samples import F64, Mask, Samples

MONEY_SHARES = (0.25, 0.5, 0.75)
ALERTS_PER_10K = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
CASE_COST = 5.0  # what an analyst's look at one case costs, in the base currency
_AMOUNT, _DECLINED = FEATURE_NAMES.index("amount"), FEATURE_NAMES.index("is_declined")
_UNBENT = {"log1p": np.expm1, "log": np.exp, "linear": np.positive}


def taken(samples: Samples) -> F64:
    """Money that each transaction moved in the base currency, (n,); a declined attempt moves none."""
    amount = _UNBENT[FEATURES[_AMOUNT].scale](samples.X[:, _AMOUNT].astype(np.float64))
    return np.where(samples.X[:, _DECLINED] > 0.5, 0.0, np.nan_to_num(amount))


def before_first_alert(samples: Samples, money: F64, alert: Mask, fraud: Mask) -> dict[str, float]:
    """Frauds and money per compromised card before its first alert at or after its first fraud.

    Parameters
    ----------
    samples
        Rows; only cards and times are looked at.
    money
        What each row moved, (n,).
    alert, fraud
        (n,) which rows were alerted, which are fraud.

    Returns
    -------
    dict
        ``cards`` compromised; ``alerted`` share of them; ``frauds``, ``money`` lost per card before the first alert
        (all of them where there is none); ``money_share`` of all fraud money lost so; ``first_is_alerted`` share of
        cards whose very first fraud is alerted.
    """
    lost_frauds, lost_money, alerted, at_once = 0, 0.0, 0, 0
    hurt = np.flatnonzero(np.isin(samples.card, np.unique(samples.card[fraud])))
    hurt = hurt[np.lexsort((hurt, samples.event_time[hurt], samples.card[hurt]))]
    cards = np.split(hurt, np.flatnonzero(np.diff(samples.card[hurt])) + 1) if len(hurt) else []
    for rows in cards:
        since = rows[int(np.argmax(fraud[rows])) :]
        stop = int(np.argmax(alert[since])) if alert[since].any() else len(since)
        before = since[:stop][fraud[since[:stop]]]
        lost_frauds, lost_money = lost_frauds + len(before), lost_money + float(money[before].sum())
        alerted, at_once = alerted + (stop < len(since)), at_once + (stop == 0)
    number = max(len(cards), 1)
    return {
        "cards": len(cards),
        "alerted": alerted / number,
        "frauds": lost_frauds / number,
        "money": lost_money / number,
        "money_share": lost_money / max(float(money[fraud].sum()), 1e-9),
        "first_is_alerted": at_once / number,
    }


def false_declines(
    samples: Samples, money: F64, score: F64, fraud: Mask, shares: Sequence[float] = MONEY_SHARES
) -> dict[str, float]:
    """Honest transactions per 10,000 cards that score at or above the cut which catches a share of all fraud money.

    The cut is read off these rows, so that all scores are compared at the same money; over the days that they span.
    """
    cards = max(len(np.unique(samples.card)), 1)
    order = np.argsort(-score, kind="stable")
    ranked = -score[order]
    caught, honest = np.cumsum(np.where(fraud, money, 0.0)[order]), np.cumsum(~fraud[order])
    out: dict[str, float] = {}
    for share in shares:
        if not len(caught) or caught[-1] <= 0:
            out[f"{share:g}"] = float("nan")
            continue
        first = min(int(np.searchsorted(caught, share * caught[-1])), len(caught) - 1)
        end = int(np.searchsorted(ranked, ranked[first], side="right"))  # ties are declined together
        out[f"{share:g}"] = 1e4 * float(honest[end - 1]) / cards
    return out


def worth(samples: Samples, money: F64, logit: F64, fraud: Mask, shipped: float) -> dict[str, dict[str, float]]:
    """What a threshold saves and costs: the shipped one, and those that give some numbers of alerts on these rows.

    Returns
    -------
    dict
        By threshold: ``alerts_per_10k``, ``cases``, ``saved`` (fraud money from each card's first alert on), and
        ``net`` (saved minus `CASE_COST` a case).
    """
    cuts = {"shipped": shipped}
    for number in ALERTS_PER_10K:
        cuts[f"{number:g} / 10k"] = float(np.quantile(logit, 1 - number / 1e4)) if len(logit) else 0.0
    out = {}
    for name, cut in cuts.items():
        alert = logit >= cut
        lost = before_first_alert(samples, money, alert, fraud)
        saved = float(money[fraud].sum()) - lost["money"] * lost["cards"]
        cases = count_cases(samples, alert, fraud).cases
        out[name] = {
            "alerts_per_10k": 1e4 * float(alert.mean()),
            "cases": cases,
            "saved": saved,
            "net": saved - CASE_COST * cases,
        }
    return out
