"""A mapping file is checked before anything is read, and what is wrong is said in one sentence."""

from pathlib import Path

import pytest

from stream.errors import SettingError
from training.data.mapping import load_mapping

GOOD = """
[columns]
event_time = "WHEN"
card_id = "CARD"
merchant_id = "SHOP"
amount = "SUM"
[constants]
currency = "EUR"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return path


def test_the_shipped_example_is_right() -> None:
    mapping = load_mapping(Path(__file__).parents[2] / "docs" / "examples" / "fdh.toml")
    assert mapping.columns["card_id"] == "CUSTOMER_ID"
    assert mapping.labels is not None
    assert mapping.needed().count("TERMINAL_ID") == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD + "[colours]\na = 'b'\n", "colours"),
        (GOOD + "[time]\nzone = 'Mars/Olympus'\n", "Mars/Olympus"),
        (GOOD + "[time]\nunit = 'hours'\n", "hours"),
        (GOOD + "[units]\nmcc = 'minor'\n", "mcc"),
        (GOOD + "[prefix]\nshop = 'M'\n", "shop"),
        (GOOD.replace('currency = "EUR"', ""), "currency"),
        (GOOD.replace("[constants]", "[constants]\namount = 3"), "amount"),
        (GOOD + "[labels]\nscenario = 'S'\n", "truth"),
        ("[columns\n", "mapping.toml"),
    ],
)
def test_a_wrong_mapping_is_one_sentence_that_names_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingError, match=named) as caught:
        load_mapping(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_mapping_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere\.toml"):
        load_mapping(tmp_path / "nowhere.toml")
