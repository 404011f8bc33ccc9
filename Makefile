PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run demo test fuzz coverage lint types bench bench-audio bench-adapt bench-lists bench-loss soak test-compiled wheel-compiled

help:   ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

run: $(VENV)/.run   ## Start the server (make run ARGS="--set http.port=8081")
	@$(BIN)/whipway serve $(ARGS)

demo: $(VENV)/.dev   ## Publish a test picture by WHIP, play it back over RTMP, print figures
	@$(BIN)/python -m tools.demo

test: $(VENV)/.dev   ## Run all tests (make test ARGS="-m 'not interop'" for the quick ones)
	@$(BIN)/pytest $(ARGS)

wheel-compiled: $(VENV)/.dev   ## Build a wheel with the packet's way compiled to C, into dist/ (optional, see CONTRIBUTING.md)
	@$(BIN)/python -m tools.compiled wheel

test-compiled: $(VENV)/.dev   ## Build it, and run the tests on it (make test-compiled ARGS="tests/unit")
	@$(BIN)/python -m tools.compiled test $(ARGS)

coverage: $(VENV)/.dev   ## Show what the tests without real clients leave uncovered
	@$(BIN)/pytest -q -m "not interop" --cov=whipway --cov-branch --cov-report=term:skip-covered

bench: $(VENV)/.dev   ## Measure what streams cost: CPU, latency, memory, capacity (make bench ARGS="--quick")
	@$(BIN)/python -m bench.speed $(ARGS)

bench-audio: $(VENV)/.dev   ## Compare settings of the AAC encoder, by cost and by sound
	@$(BIN)/python -m bench.audio $(ARGS)

bench-loss: $(VENV)/.dev   ## Measure loss and repair (make bench-loss ARGS="--quick")
	@$(BIN)/python -m bench.loss $(ARGS)

bench-adapt: $(VENV)/.dev   ## Publish from Chromium to slow RTMP servers (make bench-adapt ARGS="--kbit 600 --quick")
	@$(BIN)/python -m bench.adapt $(ARGS)

bench-lists: $(VENV)/.dev   ## Measure the list of streams, with 1,000 and 10,000 of them
	@$(BIN)/python -m bench.lists $(ARGS)

fuzz: $(VENV)/.fuzz   ## Feed anything to every parser and machine (make fuzz ARGS="rtp --seconds 600")
	@$(BIN)/python -m fuzz $(ARGS)

soak: $(VENV)/.dev   ## Publish from Chromium for ten minutes and watch what grows (make soak ARGS="--minutes 60")
	@$(BIN)/python -m bench.soak $(ARGS)

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

# atheris has no wheel for every machine; without it the fuzzer is not guided by coverage.
$(VENV)/.fuzz: $(VENV)/.dev requirements-fuzz.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
		--requirement requirements-fuzz.lock || echo "whipway: no atheris for this machine, fuzzing without it"
	@touch $@
