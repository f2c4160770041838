# Every command of the project: `make help`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BROWSER := tests/browser/node_modules/.package-lock.json

# Where it is set, every process compiles all that it imports anew: half of what a command or a child costs.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check fix bench bench-transfer bench-gateway services reference providers lock clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY)  ## ingest a recording, find its words, play it, cut it (VIDEO=path, KEEP=1 leaves it running)
	@$(BIN)/python scripts/demo.py $(if $(VIDEO),--video "$(VIDEO)") $(if $(KEEP),--keep)

test: $(READY) $(if $(shell command -v npm),$(BROWSER)) services  ## run all tests, in three processes (ARGS='-k upload')
	@$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)  ## format, lint, types, imports: what a change must pass
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(READY)  ## format and mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY)  ## measure; one JSON line a figure (ARGS='--only ocr --runs 1'; the quick ones without)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-transfer: $(READY)  ## bulk transfer against s5cmd, awscrt and rclone (ARGS='--only small --runs 3')
	@$(BIN)/python -m benchmarks.transfer $(ARGS)

bench-gateway: $(READY) services  ## the gateway under load, with wrk (ARGS='--only signed_get --runs 3')
	@$(BIN)/python -m benchmarks.gateway $(ARGS)

services:  ## install the Debian packages that tests use, where apt and root are there
	@bash scripts/services.sh

reference: $(READY)  ## write docs/reference.md anew from the code
	@$(BIN)/python scripts/reference.py

providers: $(READY)  ## measure SeaweedFS and Ceph RGW, compare with what is declared, write docs/providers.md
	@MEDIAPLANE_WRITE_PROVIDERS=1 $(BIN)/pytest -q tests/integration/test_provider_abilities.py

lock: $(READY)  ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml --group dev -o requirements.lock

clean:  ## remove what the commands made (.venv, .mediaplane)
	@rm -rf $(VENV) .mediaplane tests/browser/node_modules

$(READY): requirements.lock pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" bash scripts/setup.sh $(VENV)
	@touch $@

$(BROWSER): tests/browser/package-lock.json
	@cd tests/browser && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@
