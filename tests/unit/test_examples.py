"""The examples in docs/ are valid."""

from pathlib import Path

from stream.settings import Settings, load

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def test_the_example_settings_load_and_say_the_defaults() -> None:
    settings = load(EXAMPLES / "worker.toml")
    assert settings.models.acknowledge_simulated
    plain = settings.model_copy(update={"models": Settings().models})
    assert plain == Settings()
