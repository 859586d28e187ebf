# `make help` lists the targets. ARGS is handed to pytest: make test ARGS="tests/kernels -k decode".
.DEFAULT_GOAL := help
PY := .venv/bin/python
ARGS ?=
WORKERS ?= 2
ROOMS := kernels transforms epochs io runners simulator

.PHONY: help setup lock demo test unit coverage lint types wheel bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Make .venv from the lock file (does nothing when nothing changed)
	@./scripts/setup

lock: ## Resolve setup.py's dependencies anew into requirements.lock (needs uv)
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --python-version 3.11 --all-extras setup.py -o requirements.lock

demo: setup ## Simulate a shop and run the jobs on it, in a fresh directory
	@$(PY) -m pipelines.demo

test: setup ## All tests: unit, properties, crash; ARGS="..." runs some
	@echo "test: unit, property and crash tests (about 5 minutes on 2 cores)"
	@$(PY) -m pytest -q $(if $(ARGS),$(ARGS),-n $(WORKERS))

unit: setup ## Unit and property tests only (under 2 minutes)
	@$(PY) -m pytest -q -m "not slow" -n $(WORKERS) $(ARGS)

coverage: setup ## All tests, with a coverage report in coverage.xml
	@$(PY) -m pytest -q -n $(WORKERS) --cov --cov-report=term --cov-report=xml $(ARGS)

lint: setup ## ruff: format and rules
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .

types: setup ## mypy strict, by package name, from a folder that has no io/
	@./scripts/types

wheel: setup ## Build wheel and sdist and test both from an empty folder
	@./scripts/wheel

bench: setup ## Run the benchmarks and print their tables
	@$(PY) -m benchmarks

clean: ## Remove everything that make made, except the cache outside the checkout
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis coverage.xml .coverage*
