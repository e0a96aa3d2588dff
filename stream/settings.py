"""Typed settings: read once, frozen; a wrong one stops the start with one sentence.

Order of precedence: command-line options, environment (``FRAUDSTREAM_KAFKA__BOOTSTRAP``), the TOML file, defaults.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from stream.errors import SettingError

ENV_PREFIX = "FRAUDSTREAM_"
PLACEHOLDERS = {"", "changeme", "change-me", "secret", "password", "example", "token"}


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KafkaSettings(Section):
    """How the worker reaches Kafka and behaves as a group member."""

    bootstrap: str = Field("127.0.0.1:9092", description="host:port[,host:port]")
    group: str = Field("fraudstream", min_length=1, description="consumer group")
    session_timeout_s: float = Field(10.0, ge=2, le=300)
    rebalance_timeout_s: float = Field(20.0, ge=2, le=600)
    commit_interval_ms: int = Field(250, ge=20, le=60_000)
    fetch_max_wait_ms: int = Field(20, ge=1, le=5_000)
    max_poll_records: int = Field(8192, ge=1)
    start_at: Literal["earliest", "latest"] = Field("earliest", description="where a group without offsets begins")
    connect_timeout_s: float = Field(8.0, ge=1, le=120)

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in value.split(","):
            host, _, port = address.strip().rpartition(":")
            if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
                raise ValueError("should be host:port, or several of them with commas between")
        return value


class TopicSettings(Section):
    """Names of the topics; alerts and dead letters have as many partitions as the transactions."""

    transactions: str = "fraud.transactions"
    alerts: str = "fraud.alerts"
    dead_letters: str = "fraud.dead_letters"
    feedback: str = Field("fraud.feedback", description="labels; empty: read none")
    profiles: str = Field(
        "fraud.profiles", description="merchants' and terminals' hours, compacted; empty: tell and read none"
    )
    events: str = Field("fraud.events", description="sign-ins and changes of accounts; empty: none are read")
    checkpoints: str = Field("fraud.checkpoints", description="compacted; empty: keep no checkpoints")


class EngineSettings(Section):
    """Batches, memory and event time."""

    profile: str = Field(
        "cards", min_length=1, description="stream profile: cards, package.module:OBJECT or an entry point's name"
    )
    batch_max: int = Field(16_384, ge=1, le=65_536, description="transactions scored at once")
    pending_max: int = Field(65_536, ge=1, description="transactions held in memory before fetching pauses")
    pending_max_mb: int = Field(64, ge=1, description="bytes held in memory before fetching pauses, MiB")
    state: Literal["checkpoint", "rebuild", "empty"] = Field(
        "checkpoint", description="at take-over: load the checkpoint and replay the rest, replay all, or begin blind"
    )
    profile_wait_s: float = Field(
        0.0, ge=0, le=60, description="how long a batch waits for hours of other workers' merchants and terminals"
    )
    checkpoint_s: float = Field(60.0, ge=1, le=86_400, description="seconds between checkpoints")
    checkpoint_events: int = Field(
        1_000_000, ge=1_000, description="transactions after which a checkpoint begins sooner: bounds the replay"
    )
    horizon_days: float = Field(30.0, gt=0, le=366, description="older events are scored, flagged late, update nothing")
    clock_skew_s: float = Field(
        300.0, ge=0, le=366 * 86_400, description="tolerated lead of event time over the log's append time"
    )
    shutdown_timeout_s: float = Field(10.0, ge=1, le=300)
    base_currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
    rates: Path | None = Field(None, description="TOML file of currency rates; the shipped ones when absent")


class ModelSettings(Section):
    """Which panel scores, and on which device."""

    directory: Path | None = Field(None, description="folder with active.toml; the shipped models when absent")
    device: Literal["auto", "cuda", "cpu"] = "auto"
    acknowledge_simulated: bool = Field(False, description="accept models trained on simulated data")
    threads: int = Field(1, ge=1, le=64, description="onnxruntime threads per model")


class DecisionSettings(Section):
    """What becomes an alert; thresholds left out come from the fusion artefact."""

    review_threshold: float | None = Field(None, gt=0, lt=1)
    step_up_threshold: float | None = Field(None, gt=0, lt=1)
    decline_threshold: float | None = Field(None, gt=0, lt=1)
    case_hours: float = Field(24.0, gt=0, le=24 * 31)
    rules: Path | None = Field(None, description="TOML file with rules; the shipped ones when absent")


class SecuritySettings(Section):
    """The key behind card tokens. Without one a key of this process is drawn, and said so at start."""

    token_key: SecretStr | None = None
    token_key_file: Path | None = None

    @field_validator("token_key")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and (
            value.get_secret_value().lower() in PLACEHOLDERS or len(value.get_secret_value()) < 16
        ):
            raise ValueError("is a placeholder or shorter than 16 characters; set a random key")
        return value


class MonitorSettings(Section):
    """Where /metrics, /healthz and /readyz listen."""

    host: str = "127.0.0.1"
    port: int = Field(9108, ge=0, le=65_535, description="0 picks a free port")


class MappingSettings(Section):
    """Field names of the incoming JSON: ours on the left, theirs (a dotted path) on the right."""

    fields: dict[str, str] = Field(default_factory=dict)
    constants: dict[str, str | int | float] = Field(default_factory=dict)
    amount_unit: Literal["major", "minor"] = "major"


class Settings(BaseSettings):
    """Everything the worker reads at start."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    engine: EngineSettings = EngineSettings()
    models: ModelSettings = ModelSettings()
    decision: DecisionSettings = DecisionSettings()
    security: SecuritySettings = SecuritySettings()
    monitor: MonitorSettings = MonitorSettings()
    mapping: MappingSettings = MappingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment above the values of file and command line merged by `load`, which passes the latter last."""
        return env_settings, init_settings


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = (
            _merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"the settings file {path} does not exist; check --config") from None
    except OSError as error:
        raise SettingError(f"the settings file {path} cannot be read ({error.strerror}); check --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the settings file {path} is not TOML ({error}); mend it or name another") from None


def _refuse_unknown(table: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse names that no setting has; pydantic-settings passes over such variables without a word."""
    known = ", ".join(sorted(Settings.model_fields))
    for name in table:
        if name not in Settings.model_fields:
            raise SettingError(f"setting {name} is unknown; remove it or correct its name (sections: {known})")
    for name in environment:
        section = name.upper().removeprefix(ENV_PREFIX).partition("__")[0].lower()
        if name.upper().startswith(ENV_PREFIX) and section not in Settings.model_fields:
            raise SettingError(
                f"the environment variable {name} names no setting; unset it, or write {ENV_PREFIX}SECTION__NAME "
                f"with two underscores (sections: {known})"
            )


def load(path: Path | None = None, overrides: dict[str, Any] | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    path
        TOML file, or None.
    overrides
        Nested values of command-line options; they win over file and environment.

    Raises
    ------
    SettingError
        A key is unknown, a value has the wrong type or range, or the file cannot be read.
    """
    try:
        table = _read(path) if path else {}
        _refuse_unknown(table, os.environ)
        settings = Settings(**table)
        if overrides:
            settings = Settings.model_validate(_merge(settings.model_dump(), overrides))
    except ValidationError as error:
        raise SettingError(_sentence(error)) from None
    except SettingsError as error:
        raise SettingError(
            f"the environment is wrong: {error}; set single settings as {ENV_PREFIX}SECTION__NAME"
        ) from None
    return settings


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(Settings.model_fields))
        return f"setting {name} is unknown; remove it or correct its name (sections: {known})"
    got, text = first.get("input"), first["msg"].removeprefix("Value error, ")
    shown = "" if name.startswith("security") or isinstance(got, dict) else f" (got {got!r})"
    return f"setting {name} is wrong: {text}{shown}; mend it in the settings file or the environment"
