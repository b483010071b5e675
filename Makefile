# permission-mongo: every task a maintainer runs. `make help` lists them.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_FOR_DOCS := $(VENV)/.ready-for-docs
LOWEST_VENV := .venv-lowest
# Every room that leans on a package: the laws beside them try our own code, which is the same with any version.
LOWEST ?= tests/auth tests/config tests/documents tests/outgoing tests/parsing tests/planning tests/policy tests/query \
	tests/schema tests/storage tests/http tests/test_serve.py

.DEFAULT_GOAL := help
.PHONY: help run example docs test test-fast test-lowest laws faults soak check audit lint bench bench-gate serve clean

help:  ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "permission-mongo needs Python 3.11 or later; this is $$($(PYTHON) -V). Try: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,test,dev,bench]'
	@touch $@

run: $(READY)  ## start the example company on port 8080: gateway, embedded MongoDB, documents, tokens
	@$(BIN)/python examples/company/run.py

example: $(READY)  ## run an example and end it: NAME=notes (people, shop, services, from-atlas-data-api, from-mixpeek, from-moorcheh, from-go-gateway), KEEP=1 to stay
	@$(BIN)/python "examples/$(or $(NAME),notes)/run.py" $(if $(KEEP),--keep)

serve: $(READY)  ## start the gateway with config/ and nothing loaded
	@$(BIN)/permission-mongo serve --config config

test: $(READY)  ## every test, on a real MongoDB: four files at a time, each with a server of its own
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test-fast: $(READY)  ## the pure rooms only: no server, below 15 s
	@$(BIN)/python -m pytest -m 'not mongo and not faults'

test-lowest:  ## the tests with the lowest versions that pyproject.toml lets in (LOWEST="tests/http" for others)
	@test -x $(LOWEST_VENV)/bin/uv || { $(PYTHON) -m venv $(LOWEST_VENV) && $(LOWEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'; }
	@$(LOWEST_VENV)/bin/uv pip install --quiet --python $(LOWEST_VENV)/bin/python --upgrade --resolution lowest-direct -e '.[embedded,test]'
	@$(LOWEST_VENV)/bin/python -m pytest -n 2 --dist loadfile $(LOWEST)

laws: $(READY)  ## the property tests, ten times as long as in `make test`
	@LAW_EXAMPLES=20000 $(BIN)/python -m pytest tests/laws -s

faults: $(READY)  ## kills, failovers and races, long: some 25 minutes (FAULTS=FILE, FAULT_SEED, FAULT_ROUNDS, FAULT_WRITES)
	@FAULT_LONG=1 $(BIN)/python -m pytest $(or $(FAULTS),tests/faults) -s

soak: $(READY)  ## everything at once with faults, half an hour (SOAK_MINUTES): exit 1 where a promise breaks
	@$(BIN)/python -m tests.soak

$(READY_FOR_DOCS): $(READY) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

docs: $(READY_FOR_DOCS)  ## the site of docs/ and the examples' pages, into site/; a link that leads nowhere fails it
	@$(BIN)/python .ci/site.py
	@$(BIN)/zensical build --strict --clean
	@echo "To look at it: $(BIN)/python -m http.server -d site"

lint: $(READY)  ## ruff: style and likely mistakes
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

check: lint audit  ## lint, advisories, strict types, layers, the budget of 400 lines a file
	@$(BIN)/mypy
	@$(BIN)/mypy --strict tests/typing/usage.py
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest tests/test_structure.py

audit: $(READY)  ## installed packages and lower bounds against the advisories in .ci/advisories.json
	@$(BIN)/python .ci/audit.py

bench: $(READY)  ## measure against floors and peers, draw the curves, keep it all (three quarters of an hour)
	@$(BIN)/python -m benchmarks --all

bench-gate: $(READY)  ## a short run beside the committed one: fails a quarter below must (ten minutes)
	@$(BIN)/python -m benchmarks --gate

clean:  ## remove the virtual environment, caches and the example's data
	rm -rf $(VENV) $(LOWEST_VENV) .venv-peers .docs site .permission-mongo .pytest_cache .mypy_cache .ruff_cache .hypothesis
