.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
RUNTIME := .venv-runtime
DEV := .venv
BIN := $(DEV)/bin

.PHONY: help demo test check fmt train lock wheel bench drills soak pictures clean features

help: ## Show this list
	@grep -E '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(RUNTIME)/.installed: requirements/runtime.lock pyproject.toml
	$(PYTHON) -m venv $(RUNTIME)
	$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.lock
	$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV)/.installed: requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(RUNTIME)/.installed ## Watch a live stream being scored on a real Kafka (about 3 minutes with the installation)
	$(RUNTIME)/bin/fraudstream demo $(ARGS)

check: $(DEV)/.installed ## Format check, lint, types and import rules; modifies nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(DEV)/.installed check ## Everything that must be green, on a fresh machine with no GPU
	bash deploy/install-test-tools.sh
	$(BIN)/python -m pytest -n 2 --dist loadgroup

fmt: $(DEV)/.installed ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

train: $(DEV)/.installed ## Retrain every model from simulated history and replace models/
	$(BIN)/fraudstream train all --replace

features: $(DEV)/.installed ## Write docs/features.md from the registry
	$(BIN)/fraudstream features --markdown > docs/features.md

bench: $(DEV)/.installed ## Throughput beside a tuned confluent-kafka loop (quiet machine, about 3 minutes)
	$(BIN)/fraudstream bench pipeline

drills: $(DEV)/.installed ## Break a running worker in every way there is and compare what it told and kept (about an hour)
	PROTOCOL_EXAMPLES=1500 PROTOCOL_STEPS=60 $(BIN)/python -m pytest -q -o timeout=1800 tests/unit/test_protocol_machine.py
	STORM_REBALANCES=200 $(BIN)/python -m pytest -q -o timeout=3600 tests/kafka/test_rebalance_storm.py
	$(BIN)/fraudstream drill kill --rounds 10 --compare-state
	$(BIN)/fraudstream drill term --rounds 5 --compare-state
	$(BIN)/fraudstream drill rebalance --rounds 6 --compare-state
	$(BIN)/fraudstream drill broker --rounds 4 --compare-state
	$(BIN)/fraudstream drill zombie --rounds 4 --compare-state
	$(BIN)/fraudstream drill zombie --rounds 2 --without-rules

soak: $(DEV)/.installed ## Ten minutes at 20,000 a second with new cards all the time: memory has to stay flat
	$(BIN)/fraudstream bench soak

pictures: $(DEV)/.installed ## Draw the README's pictures from a demo of this machine (about 2 minutes)
	$(BIN)/fraudstream demo --svg docs/images/demo.svg
	$(BIN)/python -m benchmarks.pictures .run/demo/summary.json docs/images

wheel: $(DEV)/.installed ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

lock: ## Compile the locks again (needs uv)
	uv pip compile $(LOCKFLAGS) --extra broker --extra train --extra dev -o requirements/dev.lock pyproject.toml
	uv pip compile $(LOCKFLAGS) --extra broker -c requirements/dev.lock -o requirements/runtime.lock pyproject.toml
	uv pip compile $(LOCKFLAGS) --extra broker --extra train -c requirements/dev.lock -o requirements/training.lock pyproject.toml
	echo 'hatchling' | uv pip compile $(LOCKFLAGS) -c requirements/dev.lock -o requirements/build.lock -

LOCKFLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

clean: ## Remove what the targets made (environments, caches, run folder)
	rm -rf .venv .venv-runtime .run dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
