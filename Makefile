# Everything a developer needs. Each target sets up what it uses; `make demo` and `make test` work on a fresh clone.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bless bench nightly docs lock clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	@echo "Setting up $(VENV) (once)..." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## a drifted workspace: plan, apply, plan again
	@$(BIN)/reconcile demo

# One more than there are cores: many tests wait for processes and clocks of their own.
test: $(READY) lint ## every test; under ten minutes on two cores
	@scripts/install-mariadb.sh
	@$(BIN)/python -m pytest -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist worksteal -q $(ARGS)

lint: $(READY) ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## put the code in form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bless: $(READY) ## accept the outputs as they are now; review the difference like code
	@$(BIN)/python -m pytest -q --snapshot-update $(ARGS)

bench: $(READY) ## the figures of benchmarks/
	@$(BIN)/python -m benchmarks.run

nightly: $(READY) ## the long campaigns
	@scripts/install-mariadb.sh
	@CAMPAIGN=nightly $(BIN)/python -m pytest -n auto --dist worksteal -q $(ARGS)

docs: $(READY) ## write the generated pages of docs/reference
	@$(BIN)/python scripts/write_reference.py

lock: $(READY) ## pin every dependency anew, with hashes
	@$(BIN)/python -m piptools compile --quiet --extra charts --extra dev --generate-hashes --allow-unsafe --strip-extras \
	  --no-header --no-emit-index-url --no-emit-trusted-host --output-file requirements.lock pyproject.toml

clean: ## remove what was set up
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
