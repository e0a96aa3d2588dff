"""Errors that the engine declares. Everything a user can mend is a `SettingError` of one sentence."""

from __future__ import annotations


class FraudstreamError(Exception):
    """Base of every error that fraudstream raises on purpose."""

    exit_code = 1


class SettingError(FraudstreamError):
    """A setting, file or environment that a person must mend; the text is one sentence: which one, and how."""

    exit_code = 2


class BrokerError(FraudstreamError):
    """Kafka could not be started, reached or trusted."""

    exit_code = 3


class ArtefactError(SettingError):
    """A model artefact whose hash, features, manifest or golden rows do not match."""


class DecodeError(FraudstreamError):
    """One message that is no transaction.

    Parameters
    ----------
    stage
        Where it failed: ``decode``, ``mapping`` or ``validate``; the label of the dead-letter counter.
    """

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
