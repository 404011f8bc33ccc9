PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run demo test coverage lint types

help:   ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

run: $(VENV)/.run   ## Start the server (make run ARGS="--set http.port=8081")
	@$(BIN)/whipway serve $(ARGS)

demo: $(VENV)/.dev   ## Publish a test picture by WHIP, play it back over RTMP, print figures
	@$(BIN)/python -m tools.demo

test: $(VENV)/.dev   ## Run all tests (make test ARGS="-m 'not interop'" for the quick ones)
	@$(BIN)/pytest $(ARGS)

coverage: $(VENV)/.dev   ## Show what the tests without real clients leave uncovered
	@$(BIN)/pytest -q -m "not interop" --cov=whipway --cov-branch --cov-report=term:skip-covered

lint: $(VENV)/.dev   ## Check style, imports between the rings, and spelling
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo && $(BIN)/codespell

types: $(VENV)/.dev   ## Check types
	@$(BIN)/mypy

$(VENV)/.run: requirements.lock pyproject.toml
	@tools/make_venv $(PYTHON) $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	@tools/make_venv $(PYTHON) $(VENV) requirements-dev.lock
	@touch $(VENV)/.run $@
