"""What a protocol gives: rows of figures, ours beside published ones and controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from typing import Protocol as Shape

Source = Literal["ours", "published", "control", "yardstick"]


@dataclass(frozen=True, slots=True)
class Row:
    """One detector in one configuration.

    Parameters
    ----------
    model, setting
        Which detector, and what it was given: labels, inputs, ablation.
    source
        Ours, as published, a control of ours, or a common method run beside it.
    figures
        By name, as a mean over folds or seeds.
    intervals
        Low and high end of some figures' 95 % intervals.
    note
        One sentence of what a reader must know.
    """

    model: str
    setting: str
    source: Source
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A protocol's answer.

    Parameters
    ----------
    protocol, chosen
        Its name, and the configuration that was named before the test set was opened, as JSON values.
    rows
        In the order to show them.
    headings
        The figures to show, in order.
    goals
        What was to be reached and whether it was: {"goal", "reached", "met"}.
    notes
        Sentences about the protocol, and about what lost.
    details
        What pictures and papers need: by fold, by seed, by series.
    """

    protocol: str
    chosen: Mapping[str, Any]
    rows: list[Row]
    headings: tuple[str, ...]
    goals: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, for JSON."""
        return asdict(self)


class Protocol(Shape):
    """A module of `training.protocols`."""

    def run(self, data: Path, *, quick: bool, seed: int, say: Callable[[str], None]) -> Table:
        """Train, choose on validation data, open the test set, and give the table.

        Parameters
        ----------
        data
            Folder or file with the protocol's data, as its user has it.
        quick
            A smaller run, within five minutes on two cores; its table says so.
        seed
            Of every random choice.
        say
            Takes progress, a sentence at a time.

        Raises
        ------
        SettingError
            The data is not there or not what the protocol needs.
        """
