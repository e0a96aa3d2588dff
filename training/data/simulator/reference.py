"""Vocabulary and small public tables that every simulated bank shares: countries, merchant categories, field codes."""

from typing import NamedTuple

TYPES = ("purchase", "cash", "refund", "reversal", "preauth", "clearing")
CHANNELS = ("pos", "ecom", "atm", "moto")
ENTRY_MODES = ("chip", "contactless", "swipe", "fallback", "keyed", "stored")
THREE_DS = ("authenticated", "attempted", "failed", "none")
CVV_RESULTS = ("match", "no_match", "not_provided")
AVS_RESULTS = ("match", "no_match", "not_provided", "partial")
RESPONSE_CODES = ("00", "05", "51", "14", "54", "55", "61", "91")

PURCHASE, CASH, REFUND, REVERSAL, PREAUTH, CLEARING = range(6)
POS, ECOM, ATM, MOTO = range(4)
CHIP, CONTACTLESS, SWIPE, FALLBACK, KEYED, STORED = range(6)
APPROVED = 0
WRONG_PIN = 5

LOOK_ALIKES = (
    "",
    "holiday_travel",
    "seasonal_peak",
    "first_expensive_purchase",
    "refund",
    "new_phone",
    "micro_payments",
    "shopping_spree",
)
HOLIDAY, PEAK, EXPENSIVE, REFUNDED, NEW_PHONE, MICRO, SPREE = range(1, 8)


class Country(NamedTuple):
    """One country: ISO code, currency, units of it per euro, decimals, place and offset from UTC in minutes."""

    code: str
    currency: str
    per_euro: float
    decimals: int
    latitude: float
    longitude: float
    offset: int


COUNTRIES = (
    Country("DE", "EUR", 1.0, 2, 51.0, 10.0, 60),
    Country("FR", "EUR", 1.0, 2, 46.6, 2.4, 60),
    Country("NL", "EUR", 1.0, 2, 52.2, 5.3, 60),
    Country("ES", "EUR", 1.0, 2, 40.2, -3.7, 60),
    Country("IT", "EUR", 1.0, 2, 43.0, 12.0, 60),
    Country("PL", "PLN", 4.28, 2, 52.1, 19.4, 60),
    Country("SE", "SEK", 11.3, 2, 59.5, 15.8, 60),
    Country("GB", "GBP", 0.86, 2, 52.5, -1.5, 0),
    Country("CH", "CHF", 0.95, 2, 47.0, 8.2, 60),
    Country("US", "USD", 1.09, 2, 39.8, -89.0, -360),
    Country("BR", "BRL", 5.9, 2, -20.0, -46.0, -180),
    Country("TR", "TRY", 37.0, 2, 39.5, 32.0, 180),
    Country("AE", "AED", 4.0, 2, 25.0, 55.2, 240),
    Country("TH", "THB", 38.5, 2, 14.0, 100.6, 420),
    Country("JP", "JPY", 163.0, 0, 35.6, 138.5, 540),
    Country("ZA", "ZAR", 20.2, 2, -27.0, 28.0, 120),
    Country("NG", "NGN", 1680.0, 2, 7.5, 4.5, 60),
    Country("ID", "IDR", 17400.0, 0, -6.5, 107.0, 420),
)


class Category(NamedTuple):
    """One merchant category: code, usual amount in euro, spread (log), share of merchants, chance to be online."""

    mcc: str
    usual: float
    spread: float
    share: float
    online: float


CATEGORIES = (
    Category("5411", 32, 0.65, 0.17, 0.05),
    Category("5812", 34, 0.55, 0.11, 0.05),
    Category("5814", 10, 0.45, 0.10, 0.10),
    Category("5541", 48, 0.40, 0.05, 0.0),
    Category("4111", 4, 0.50, 0.04, 0.30),
    Category("5912", 17, 0.60, 0.05, 0.10),
    Category("5651", 52, 0.65, 0.08, 0.45),
    Category("5732", 140, 0.90, 0.04, 0.50),
    Category("5999", 28, 0.90, 0.09, 0.60),
    Category("7011", 130, 0.60, 0.03, 0.40),
    Category("4511", 210, 0.70, 0.015, 0.95),
    Category("4121", 15, 0.50, 0.03, 0.60),
    Category("5816", 7, 0.90, 0.04, 1.0),
    Category("4899", 12, 0.35, 0.02, 1.0),
    Category("6011", 90, 0.60, 0.06, 0.0),
    Category("5944", 190, 0.90, 0.01, 0.30),
    Category("5200", 65, 0.85, 0.035, 0.25),
    Category("7995", 35, 0.90, 0.01, 0.85),
    Category("4829", 140, 0.80, 0.01, 0.80),
    Category("5942", 18, 0.60, 0.03, 0.50),
)
MCC = {category.mcc: index for index, category in enumerate(CATEGORIES)}
ATM_CATEGORY = MCC["6011"]
DIGITAL_CATEGORY = MCC["5816"]
