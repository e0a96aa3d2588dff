"""Local time where the transaction happened: the main offset from UTC of each country, in standard time.

"Night" in UTC says nothing of a merchant in Tokyo. An offset written in ``event_time`` wins, then the country's,
then longitude / 15. Summer time is left out: an hour matters less here than rules that change by law every year.
Countries of several zones have that of most of their people.
"""

from __future__ import annotations

import numpy as np

from stream.codec.times import NO_OFFSET
from stream.codec.words import COUNTRY
from stream.events import F32, I32, I64

_HOURS: dict[float, str] = {
    -11: "AS NU UM", -10: "CK PF", -9: "", -8: "PN", -7: "", -6: "BZ CR GT HN MX NI SV US",
    -5: "CA CO CU EC HT JM KY PA PE BS TC", -4: "AG AI AW BB BL BM BO BQ CL CW DM DO FK GD GP GY KN LC MF MQ MS PR "
    "PY SX TT VC VE VG VI", -3.5: "", -3: "AR BR GF PM SR UY", -2: "GL GS", -1: "CV",
    0: "BF CI FO GB GG GH GM GN GW IE IM IS JE LR ML MR PT SH SL SN ST TG",
    1: "AD AL AO AT BA BE BJ CD CF CG CH CM CZ DE DK DZ EH ES FR GA GI GQ HR HU IT LI LU MA MC ME MK MT NE NG NL NO "
    "PL RS SE SI SJ SK SM TD TN VA XK",
    2: "AX BG BI BW CY EE EG FI GR IL LB LS LT LV LY MD MW MZ NA PS RO RW SD SS SZ UA ZA ZM ZW",
    3: "BH BY DJ ER ET IQ JO KE KM KW MG QA RU SA SO SY TR TZ UG YE YT", 3.5: "IR", 4: "AE AM AZ GE MU OM RE SC",
    4.5: "AF", 5: "KZ MV PK TF TJ TM UZ", 5.5: "IN LK", 5.75: "NP", 6: "BD BT IO KG", 6.5: "CC MM",
    7: "CX ID KH LA TH VN", 8: "BN CN HK MN MO MY PH SG TW", 9: "JP KP KR PW TL", 10: "AU FM GU MP PG",
    11: "NC NF SB VU", 12: "FJ KI MH NR NZ TV WF", 13: "TO TK WS",
}  # fmt: skip


def _table() -> I32:
    table = np.full(26 * 26 + 1, NO_OFFSET, np.int32)
    for hours, codes in _HOURS.items():
        for code in codes.split():
            table[COUNTRY[code]] = round(hours * 60)
    return table


_OFFSETS = _table()


def local_time(event_time: I64, written: I32, country: I32, longitude: F32) -> I64:
    """Milliseconds on the clock of the place, counted like an epoch.

    Parameters
    ----------
    event_time
        ms UTC (n,).
    written
        Offset written in the message, minutes, or `NO_OFFSET` (n,).
    country, longitude
        Code as in `Columns` (0 missing) and degrees (NaN missing) (n,).
    """
    offset = np.where(written != NO_OFFSET, written, _OFFSETS[country])
    unknown = offset == NO_OFFSET
    if unknown.any():
        hours = np.rint(np.nan_to_num(longitude.astype(np.float64)) / 15)
        offset = np.where(unknown, hours * 60, offset)
    return event_time + offset.astype(np.int64) * 60_000
