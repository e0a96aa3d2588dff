"""``python -m stream`` is the `fraudstream` command; the demo starts its parts this way."""

from stream.cli import main

main()
