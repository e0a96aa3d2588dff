"""A worker that keeps none of the rules against a second writer: the control that shows a drill can fail.

Nothing in the settings leads here; the drills start this module in the worker's place when asked to, and it serves
groups and topics of drills alone. It believes that it holds what it once held, however old its last heartbeat is, drops
nothing, and takes a partition over without a new epoch.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import typer

from stream.errors import FraudstreamError, SettingError

PREFIX = "drill."
GUARDED = ("FRAUDSTREAM_KAFKA__GROUP", "FRAUDSTREAM_TOPICS__TRANSACTIONS", "FRAUDSTREAM_TOPICS__ALERTS")


def check_drill() -> None:
    """Refuse whatever is no drill.

    Raises
    ------
    SettingError
        Group or topics are not those of a drill.
    """
    for name in GUARDED:
        if not os.environ.get(name, "").startswith(PREFIX):
            raise SettingError(f"{name} does not begin with {PREFIX!r}: this worker serves drills alone; start another")


def forget_the_rules() -> None:
    """Take the rules against a second writer out of this process."""
    from stream.sinks.chain import Tip
    from stream.tail import Tail
    from stream.transport.consumer import BatchConsumer
    from stream.transport.lease import Lease
    from stream.transport.thread import BatchThread

    told = Tail.tip

    def holds(self: BatchThread, lease: Lease) -> bool:
        return True

    def heartbeat_age(self: BatchConsumer) -> float:
        return 0.0

    def tip(self: Tail, generation: int = 1) -> Tip:
        return dataclasses.replace(told(self, generation), epoch=1)

    BatchThread.holds, BatchConsumer.heartbeat_age, Tail.tip = holds, heartbeat_age, tip  # type: ignore[method-assign]


def main() -> None:
    """Run the worker's own command without the rules."""
    from stream.cli.worker import command

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    try:
        check_drill()
        forget_the_rules()
        app()
    except FraudstreamError as error:
        sys.stderr.write(f"fraudstream: {error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
