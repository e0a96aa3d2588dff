"""`fraudstream broker` where no broker runs: what it prints and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.cli.broker import app
from stream.errors import SettingError


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_the_status_of_no_broker_is_json_and_code_3(tmp_path: Path) -> None:
    code, text = run("status", "--dir", str(tmp_path), "--json")
    status = json.loads(text)
    assert code == 3
    assert (status["running"], status["answering"], status["bootstrap"]) == (False, False, None)


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    run("status", "--dir", str(tmp_path / "runs"))
    run("stop", "--dir", str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_stopping_no_broker_is_fine(tmp_path: Path) -> None:
    assert run("stop", "--dir", str(tmp_path)) == (0, "Kafka default was not running\n")


@pytest.mark.parametrize("name", ["../x", ".hidden", "", "a/b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="is no name"):
        run("status", "--dir", str(tmp_path), "--name", name)


def test_topics_without_a_broker_say_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    with pytest.raises(SettingError, match="fraudstream broker start"):
        run("topics", "--dir", str(tmp_path))
