"""What an audit tells: findings, each with its evidence and what to do, and notes that are no findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One leak.

    Parameters
    ----------
    kind
        too_good | missingness | knows_future | whole_file | label_timing | time_shift | twins | order | kernels
    column
        Of the table, "" when it is about rows.
    what
        What was seen, in words with its figures.
    evidence
        The figures by name.
    remedy
        What to do.
    """

    kind: str
    column: str
    what: str
    evidence: Mapping[str, float]
    remedy: str

    def line(self) -> str:
        """One line for a terminal."""
        return f"{self.kind}{f': {self.column}' if self.column else ''}: {self.what}. {self.remedy}."


@dataclass(slots=True)
class Report:
    """The answer of an audit; `checked` names what was looked at, `notes` what could not be or needs a reader."""

    rows: int
    frauds: int
    columns: int
    roles: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, for JSON."""
        return {"leaks": len(self.findings), **asdict(self)}
