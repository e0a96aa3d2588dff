"""The audit from a file to a report: read it, look for each kind of leak, say what could not be looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from stream.errors import SettingError
from training.audit import alone, future, rows, split, timing, whole
from training.audit.findings import Finding, Report
from training.audit.table import Sheet, read_sheet

Say = Callable[[str], None]


def audit_table(
    file: Path,
    *,
    label: str = "",
    time: str = "",
    entities: Sequence[str] = (),
    label_time: str = "",
    ignore: Sequence[str] = (),
    unit: str = "",
    delay_days: float | None = None,
    mapping: Path | None = None,
    say: Say = lambda _: None,
) -> Report:
    """Audit a table of features, or, with a mapping, of raw transactions through the engine's features too.

    Parameters
    ----------
    file
        CSV or Parquet.
    label, time, entities, label_time
        Columns; found by their usual names when empty.
    ignore
        Columns that no model gets.
    unit
        Of a numeric time: s, ms, us, ns, h or d; told by its size when empty.
    delay_days
        After how many days a label may be used; unknown when None.
    mapping
        TOML file as `fraudstream replay` takes it.

    Raises
    ------
    SettingError
        The file cannot be read, or lacks what an audit needs.
    """
    if mapping is not None:
        return _audit_raw(file, mapping, ignore, delay_days, say)
    sheet = read_sheet(file, label=label, time=time, entities=entities, label_time=label_time, ignore=ignore, unit=unit)
    say(f"read {len(sheet.y):,} rows, {int(sheet.y.sum()):,} of them fraud, {len(sheet.columns)} features")
    return look(sheet, delay_days, say)


def audit_history(folder: Path, *, delay_days: float | None = None, say: Say = lambda _: None) -> Report:
    """Audit a history as `fraudstream simulate --out` and `train --history` have it: features, labels, their times."""
    from training.audit import histories, kernels

    history, sheet = histories.read(folder)
    say(f"read {len(sheet.y):,} transactions; computing their features three times")
    found, X = kernels.check(history)
    sheet.columns += kernels.engine_columns(X, np.arange(len(X)), len(X))
    report = look(sheet, delay_days, say)
    report.checked.append("change of the future, by the engine's features")
    report.findings[:0] = [*found, *histories.check_decisions(folder)]
    return report


def _audit_raw(file: Path, mapping: Path, ignore: Sequence[str], delay_days: float | None, say: Say) -> Report:
    from training.audit import kernels
    from training.data.mapping import load_mapping

    plan = load_mapping(mapping)
    if plan.labels is None:
        raise SettingError(f'an audit needs the file\'s own labels: add [labels] with truth = "COLUMN" to {mapping}')
    if "event_time" not in plan.columns:
        raise SettingError(f"an audit needs the time of each row: name its column for event_time in {mapping}")
    say("computing the engine's features three times: as they are, without the future, with another one")
    history, places = kernels.foreign_history(file, plan)
    found, X = kernels.check(history)
    left_out = [name for name in (*ignore, plan.labels.scenario) if name]
    entities = [plan.columns[f"{kind}_id"] for kind in ("card", "customer", "merchant", "terminal", "device")
                if f"{kind}_id" in plan.columns]  # fmt: skip
    sheet = read_sheet(
        file,
        label=plan.labels.truth,
        time=plan.columns["event_time"],
        entities=list(dict.fromkeys(entities)),
        ignore=left_out,
        unit=plan.time.unit,
    )
    for column in kernels.engine_columns(X, places, int(sheet.position.max()) + 1):
        column.values = column.values[sheet.position]
        sheet.columns.append(column)
    if len(places) < len(sheet.y):
        sheet.notes.append(f"the engine's features were computed on the first {len(places):,} rows")
    report = look(sheet, delay_days, say)
    report.checked.append("change of the future, by the engine's features")
    report.findings[:0] = found
    return report


def look(sheet: Sheet, delay_days: float | None, say: Say) -> Report:
    """Run every check that the table allows."""
    report = Report(len(sheet.y), int(sheet.y.sum()), len(sheet.columns), sheet.roles, notes=list(sheet.notes))
    if sheet.y.sum() < alone.LEAST:
        report.notes.append(f"{int(sheet.y.sum())} frauds are too few to judge a feature by; {alone.LEAST} are needed")
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("a single feature that is too good", lambda: alone.check(sheet)),
        ("times and order", lambda: [*rows.check_order(sheet), *timing.check_times(sheet)]),
        ("arrival of labels", lambda: timing.check_arrival(sheet)),
        ("copies across a cut in time", lambda: rows.check_twins(sheet)),
        ("figures of the whole file", lambda: whole.check(sheet)),
        ("knowledge of the future", lambda: future.check(sheet)),
        ("labels before they arrive", lambda: timing.check_known_labels(sheet, delay_days)),
    ]
    for name, check in checks:
        say(f"looking for {name}")
        report.findings += _new(report.findings, check())
        report.checked.append(name)
    report.notes += rows.order_note(sheet)
    if not sheet.entities:
        report.notes.append("no entity column (--entity): whether a feature knows an entity's future was not looked at")
    if sheet.label_time is None:
        report.notes.append("no times of labels (--label-time): whether verdicts came in time was not looked at")
    say("comparing a split by time with a random one")
    both = split.gap(sheet, {finding.column for finding in report.findings})
    if both is not None:
        report.notes.append(
            f"boosting reaches AP {both[0]:.3f} on the newest 30 % and {both[1]:.3f} on random 30 % of the rows"
            + ("; judge by time, not at random" if both[1] > both[0] + 0.1 else "")
        )
    return report


def _new(known: Sequence[Finding], found: Sequence[Finding]) -> list[Finding]:
    """Findings about columns of which nothing was said yet, or about rows."""
    told = {finding.column for finding in known if finding.column}
    return [finding for finding in found if finding.column not in told]
