# Lifeline: the verbs. `make` alone lists them.
# A fresh machine needs Python 3.11 or newer with pip; everything else is installed here.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
WARM   := $(VENV)/.warm

.DEFAULT_GOAL := help
.PHONY: help setup warm demo test check bench gate soak wheel lock clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(STAMP) ## an environment in .venv from the locked requirements

$(STAMP): requirements/dev.txt pyproject.toml tools/setup.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) bash tools/setup.sh
	@touch $@

warm: $(WARM)

$(WARM): $(STAMP) $(wildcard */kernels/*.py */*/kernels/*.py)
	@echo "compiling the kernels (once) …"
	@$(BIN)/lifeline warm
	@touch $@

demo: warm ## the main job: broker, 219,300 sensors, engine, queue, lake, console (Ctrl-C ends it)
	@$(BIN)/lifeline demo $(ARGS)

test: setup ## everything CI runs but the benchmarks: style, types, floors, the suite, the wheel
	@bash tools/real_parts.sh
	@VENV=$(VENV) bash tools/test.sh $(ARGS)

check: setup ## style, types and floors only
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup ## all benchmarks, with peers; results, ledger and picture in var/bench (make bench ARGS="decode engine")
	@mkdir -p var/bench
	@$(BIN)/python -m benchmarks run --json var/bench/results.json --ledger var/bench/ledger.jsonl \
	  --picture var/bench $(ARGS)

gate: setup ## the short benchmark set against its ratios
	@$(BIN)/python -m benchmarks gate

soak: setup ## the long crash and load tests
	@bash tools/real_parts.sh
	@LIFELINE_SOAK=1 VENV=$(VENV) bash tools/test.sh -s -m soak -p no:randomly --timeout 7200 $(ARGS) tests

wheel: setup ## build the wheel into dist/
	@$(BIN)/python -m build --no-isolation --wheel

lock: ## renew the locked requirements (versions and hashes, no index address)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml --group dev -o requirements/dev.txt

clean: ## remove the environment and all caches
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
