"""A wrong setting is one sentence that names it and how to mend it, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.app.checks import check_files
from stream.errors import SettingError
from stream.settings import load

RULE = '[[rules]]\nid = "ABC"\noutcome = "review"\ntext = "x"\nwhen = [{ feature = %s, op = ">=", value = 1 }]\n'
FILES = {
    "feature.toml": RULE % '"nope"',
    "list.toml": RULE % '["nope"]',
    "flag.toml": '[[rules]]\nid = "ABC"\noutcome = "review"\ntext = "x"\nwhen = [{ flag = ["late"] }]\n',
    "text.toml": "rules = 3\n",
    "rates.toml": '[per_euro]\nEUR = "x"\n',
    "short": "abc\n",
}
WRONG = {
    "[kafka]\nbootstrapp = 'x'": r"kafka\.bootstrapp is unknown; .*correct its name",
    "[kafak]\nbootstrap = 'x'": r"kafak is unknown; .*sections: decision, engine, kafka",
    "_env_prefix = 'X_'": "_env_prefix is unknown",
    "kafka = 3": "kafka is wrong",
    "[engine]\nbatch_max = 'many'": r"engine\.batch_max is wrong: .*integer.*'many'.*mend it",
    "[engine]\nbatch_max = 0": r"engine\.batch_max is wrong: .*greater than or equal to 1",
    "[engine]\nhorizon_days = inf": r"engine\.horizon_days is wrong: .*finite",
    "[engine]\nclock_skew_s = 1e300": r"engine\.clock_skew_s is wrong",
    "[engine]\nstate = 'half'": r"engine\.state is wrong: .*'rebuild' or 'empty'",
    "[engine]\nbase_currency = 'XXX'": r"base currency XXX is missing; mend .*engine\.base_currency",
    "[engine]\nrates = 'rates.toml'": r"engine\.rates: .*it needs \[per_euro\]",
    "[kafka]\nbootstrap = '127.0.0.1'": r"kafka\.bootstrap is wrong: should be host:port",
    "[kafka]\nbootstrap = 'kafka://h:9092'": r"kafka\.bootstrap is wrong: should be host:port",
    "[kafka]\nbootstrap = 'h:9092,'": r"kafka\.bootstrap is wrong: should be host:port",
    "[kafka]\nbootstrap = 'h:99999'": r"kafka\.bootstrap is wrong: should be host:port",
    "[monitor]\nport = 99999": r"monitor\.port is wrong: .*65535",
    "[models]\ndevice = 'tpu'": r"models\.device is wrong: .*'auto', 'cuda' or 'cpu'",
    "[decision]\nreview_threshold = nan": r"decision\.review_threshold is wrong",
    "[decision]\nreview_threshold = 0.9\ndecline_threshold = 0.1": r"review_threshold \(0\.9\) is above .*lower it",
    "[decision]\nrules = 'none.toml'": r"decision\.rules: .*cannot be read",
    "[decision]\nrules = 'feature.toml'": r"rule ABC .*unknown feature 'nope'; `fraudstream features` lists them",
    "[decision]\nrules = 'list.toml'": r"rule ABC .*unknown feature",
    "[decision]\nrules = 'flag.toml'": r"rule ABC .*wrong flag condition",
    "[decision]\nrules = 'text.toml'": r"may hold only version and \[\[rules\]\]",
    "[security]\ntoken_key = 'changeme'": r"security\.token_key is wrong: is a placeholder .*set a random key",
    "[security]\ntoken_key_file = 'none'": r"security\.token_key_file: .*cannot be read .*name a readable file",
    "[security]\ntoken_key_file = '.'": r"security\.token_key_file: .*cannot be read",
    "[security]\ntoken_key_file = 'short'": r"security\.token_key_file: .*shorter than 16 bytes; write a random one",
    "[security]\ntoken_key = 'kkkkkkkkkkkkkkkkkkkk'\ntoken_key_file = 'short'": "are both there; remove one",
    "[mapping.fields]\namounts = 'x'": r"mapping\.fields\.amounts: no such field; use one of",
    "[mapping.fields]\namount = ''": r"mapping\.fields\.amount is empty",
    "[mapping.constants]\nevent_time = 'yesterday'": r"mapping\.constants\.event_time is 'yesterday'.*correct it",
    "[mapping]\namount_unit = 'pounds'": r"mapping\.amount_unit is wrong: .*'major' or 'minor'",
    "[kafka": "is not TOML .*mend it",
}
ENVIRONMENT = {
    "FRAUDSTREAM_KAFKA__BOOTSTRAPP": r"kafka\.bootstrapp is unknown",
    "FRAUDSTREAM_KAFAK__BOOTSTRAP": "FRAUDSTREAM_KAFAK__BOOTSTRAP names no setting; unset it",
    "FRAUDSTREAM_KAFKA_BOOTSTRAP": "FRAUDSTREAM_KAFKA_BOOTSTRAP names no setting.*two underscores",
    "FRAUDSTREAM_KAFKA": "the environment is wrong: .*kafka.*FRAUDSTREAM_SECTION__NAME",
    "FRAUDSTREAM_ENGINE__BATCH_MAX": r"engine\.batch_max is wrong",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_settings_file_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_text(content, encoding="utf-8")
    Path("settings.toml").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(SettingError, match=WRONG[text]) as caught:
        check_files(load(Path("settings.toml")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_wrong_environment_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(SettingError, match=ENVIRONMENT[name]):
        load()


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="does not exist; check --config"):
        load(tmp_path / "none.toml")
    with pytest.raises(SettingError, match=r"cannot be read .*check --config"):
        load(tmp_path)


def test_a_key_that_was_mistyped_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("security = 'hush-hush-hush'\n")
    with pytest.raises(SettingError, match="security is wrong") as caught:
        load(tmp_path / "settings.toml")
    assert "hush" not in str(caught.value)
