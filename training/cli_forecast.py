"""`fraudstream forecast`: quantiles of the next steps of any series, and how far they can be trusted."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cliutil import emit_json, require_extra
from stream.errors import SettingError

if TYPE_CHECKING:
    import numpy as np

    from training.forecast.series import Series

_SHOWN = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def forecast(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file, one row a date.")],
    column: Annotated[str, typer.Option(help="Column to forecast.")],
    horizon: Annotated[int, typer.Option(help="Steps ahead.", min=1, max=200)],
    date: Annotated[str | None, typer.Option(help="Column of dates; found by its name when left out.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the fan into this PNG.")] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Compare with other models on the last quarter.")
    ] = False,
    origins: Annotated[int, typer.Option(help="Most origins of the back-test.", min=10)] = 60,
    onnx: Annotated[Path | None, typer.Option(help="Write the trained network's ONNX graph to this file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training.", min=0)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Forecast a series with an LSTM: quantiles of each next step.

    Rows are steps: gaps and weekends stay gaps, no value is invented for them. With --backtest the same network
    forecasts the last quarter from many origins beside naive, drift, seasonal naive, EWMA and GARCH volatility, ETS and
    ARIMA, and the report says where naive wins.

    Example: fraudstream forecast prices.csv --column Close --horizon 20 --backtest --picture fan.png
    """
    for module in ("torch", "pandas", "statsmodels", "arch", "matplotlib"):
        require_extra(module, "train")
    if device not in {"auto", "cpu", "cuda"}:
        raise SettingError(f"--device {device} is unknown; use auto, cpu or cuda")
    from training.forecast.series import read_series

    begun = time.monotonic()
    series = read_series(file, column, date)
    report = _report(series, horizon, backtest, origins, seed, device, picture, onnx, _quiet if json else _say)
    report["seconds"] = round(time.monotonic() - begun, 1)
    emit_json(report) if json else _show(report)


def _report(
    series: Series,
    horizon: int,
    judged: bool,
    origins: int,
    seed: int,
    device: Any,
    picture: Path | None,
    onnx: Path | None,
    say: Any,
) -> dict[str, Any]:
    import numpy as np

    from training.forecast.backtest import backtest, fit_lstm
    from training.forecast.market import scale

    scaled = scale(series.values)
    first, last = _day(series.times[0]), _day(series.times[-1])
    say(f"{series.name}: {len(series.values):,} rows, {first} to {last}; the LSTM learns them")
    fitted = fit_lstm(series, scaled, horizon, len(series.values), seed, device)
    quantiles = fitted.forecast(series, scaled, np.array([len(series.values) - 1]), horizon)[0]
    report: dict[str, Any] = {
        "column": series.name,
        "rows": len(series.values),
        "first": first,
        "last": last,
        "step": str(series.step),
        "season": series.season,
        "gaps": series.gaps,
        "dropped_rows": series.dropped,
        "starts_from": "last value" if fitted.season == 1 else f"value {fitted.season} rows before",
        "forecast": _steps(series, quantiles),
    }
    if picture is not None:
        from training.forecast.picture import draw_fan

        draw_fan(series, quantiles, picture, shown=max(6 * horizon, 60))
        report["picture"] = str(picture)
    if onnx is not None:
        onnx.parent.mkdir(parents=True, exist_ok=True)
        fitted.model.to_onnx(onnx)
        report["onnx"] = str(onnx)
    if judged:
        found = backtest(series, horizon, origins=origins, seed=seed, device=device, say=say)
        report["backtest"] = {"origins": len(found.origins), "models": found.rows, "verdict": found.verdict}
    return report


def _steps(series: Series, quantiles: np.ndarray) -> list[dict[str, Any]]:
    from training.forecast.measures import LEVELS

    columns = {f"q{round(100 * level):02d}": int(abs(LEVELS - level).argmin()) for level in _SHOWN}
    return [
        {"date": _day(when), **{name: float(row[at]) for name, at in columns.items()}}
        for when, row in zip(series.after(len(quantiles)), quantiles, strict=True)
    ]


def _day(when: Any) -> str:
    return str(when).removesuffix(" 00:00:00")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _quiet(_: str) -> None:
    return


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    steps = Table(title=f"{report['column']} after {report['last']}, from the {report['starts_from']}")
    for heading in report["forecast"][0]:
        steps.add_column(heading, justify="left" if heading == "date" else "right", no_wrap=True)
    for row in report["forecast"]:
        steps.add_row(row["date"], *(f"{value:,.5g}" for name, value in row.items() if name != "date"))
    console.print(steps)
    if "backtest" in report:
        _show_backtest(console, report["backtest"])
    for key in ("picture", "onnx"):
        if key in report:
            console.print(f"{key}: {report[key]}")


def _show_backtest(console: Any, found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=f"back-test from {found['origins']} origins; DM: against the LSTM, + where the LSTM is better")
    regimes = found["models"][0]["coverage_by_regime"]
    named = [f"{name}\n({count['origins']})" for name, count in regimes.items()]
    for heading in ("model", "MASE", "CRPS", "80 %\ncovers", *named, "DM", "p"):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for row in found["models"]:
        by = row["coverage_by_regime"]
        test = row.get("dm")
        table.add_row(
            row["model"],
            f"{row['mase']:.3f}",
            f"{row['crps']:.5g}",
            f"{row['coverage']:.0%}",
            *(f"{by[name]['coverage']:.0%}" for name in regimes),
            *((f"{test['statistic']:+.2f}", f"{test['p']:.3f}") if test else ("", "")),
        )
    console.print(table)
    for sentence in found["verdict"]:
        console.print(f"- {sentence}")
