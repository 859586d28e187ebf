# `make help` lists the targets. ARGS is handed to pytest: make test ARGS="tests/kernels -k decode".
.DEFAULT_GOAL := help
PY := .venv/bin/python
# Hundreds of processes start in a run of the tests: what they import is compiled once.
unexport PYTHONDONTWRITEBYTECODE
ARGS ?=
WORKERS ?= 2
# A file stays with one process, and the files that take longest begin; see tests/conftest.py.
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup lock demo demo-live kube services chaos chaos-spark soak test test-all unit coverage lint types docs manifests images wheel native bench bench-peers clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Make .venv from the lock file (does nothing when nothing changed)
	@./scripts/setup

lock: ## Resolve setup.py's dependencies anew into requirements.lock
	@$$(./scripts/find-uv) pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --python-version 3.11 --all-extras setup.py -o requirements.lock

demo: setup ## Simulate a shop and run the jobs on it, in a fresh directory ./demo
	@$(PY) -m pipelines.demo

demo-live: setup ## A shop that sells into Kafka, the jobs following, until Ctrl-C; KAFKA=host:port, ARGS="--for=60s --rate=500"
	@$(if $(KAFKA),$(PY) -m pipelines.demo --live --kafka=$(KAFKA) $(ARGS),\
	  PYTHONPATH=tests $(PY) -m services kafka -- $(PY) -m pipelines.demo --live --kafka=@kafka.bootstrap $(ARGS))

kube: ## Build etcd, kube-apiserver, kube-controller-manager into the cache, once, with Go: for the tests of manifests
	@echo "kube: builds a Kubernetes control plane (half an hour or more on 2 cores, once)"
	@./scripts/kube

services: setup ## Start Kafka, Redis, PostgreSQL and moto (S3, DynamoDB), print their addresses, stop them on Ctrl-C
	@PYTHONPATH=tests $(PY) -m services $(ARGS)

chaos: setup ## Kill a live job 100 times and each of its servers 5 times, then count its rows; ARGS="--seed=7 --kills=100"
	@echo "chaos: kills, and what they hit (about 15 minutes on 2 cores)"
	@PYTHONPATH=tests $(PY) -m reliability.chaos $(ARGS)

chaos-spark: setup ## The four jobs on a Spark cluster whose executors, workers and driver die; ARGS="--seed=7 --kills=100"
	@echo "chaos-spark: kills, and what they hit (half an hour to an hour on 2 cores)"
	@PYTHONPATH=tests $(PY) -m reliability.spark_chaos $(ARGS)

soak: setup ## A live job at a fixed rate, with restarts: does anything grow? ARGS="--minutes=30 --rate=200 --restart=5"
	@echo "soak: a line each half minute, half an hour long"
	@PYTHONPATH=tests $(PY) -m reliability.soak $(ARGS)

test: setup ## What every push runs: all but the night's tests; ARGS="..." runs some
	@$(if $(ARGS),,echo "test: all but the night's tests (about 10 minutes on 2 calm cores)")
	@$(PY) -m pytest -q $(if $(ARGS),$(ARGS),$(SPREAD) --durations=20)

test-all: setup ## All tests with all examples: full matrices, both Beam runners, chaos; ARGS="..." runs some
	@$(if $(ARGS),,echo "test-all: all tests, all examples (an hour or more on 2 cores)")
	@ECOMPULSE_NIGHT=1 $(PY) -m pytest -q $(if $(ARGS),$(ARGS),$(SPREAD) --durations=20)

unit: setup ## Unit and property tests only
	@echo "unit: unit and property tests, few examples (about a minute on 2 calm cores)"
	@ECOMPULSE_QUICK=1 $(PY) -m pytest -q -m "not slow" $(SPREAD) $(ARGS)

coverage: setup ## All tests, with a coverage report here and in coverage.xml
	@echo "coverage: all tests, measured (longer than make test)"
	@$(PY) -m pytest -q $(SPREAD) --cov --cov-report=term --cov-report=xml $(ARGS)

lint: setup ## ruff: format and rules; hadolint
	@echo "lint: ruff, hadolint (a second)"
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@.venv/bin/hadolint Dockerfile

types: setup ## mypy, strict, over all packages
	@echo "types: mypy (about a minute the first time, seconds after that)"
	@# Not from here: the folder io would stand before the standard library's module.
	@cd scripts && ../$(PY) -m mypy --config-file=../pyproject.toml --cache-dir=../.mypy_cache

docs: setup ## Write the generated parts of docs/ anew from the code
	@$(PY) scripts/docs.py

manifests: ## Render kubernetes/spark-jobs.yaml anew from runner_configs/kubernetes, with kubectl
	@kubectl kustomize runner_configs/kubernetes/overlays/spark >build/spark-jobs.yaml
	@{ echo "# Rendered by make manifests from runner_configs/kubernetes/overlays/spark: change it there."; echo ---; \
	  cat build/spark-jobs.yaml; } >kubernetes/spark-jobs.yaml

images: ## Build the wheel and two container images: docker, or ENGINE=podman
	@./build.sh

wheel: setup ## Build wheel and sdist into dist/, and try both in empty environments
	@./scripts/wheel

native: setup ## Build the native pass over JSON rows with cargo, and install it into .venv: decoding in half the time
	@./scripts/native

bench: setup ## Run the benchmarks and print their tables
	@$(PY) -m benchmarks

bench-peers: setup ## The jobs beside Spark, Bytewax and Quix Streams (Java, Maven); writes benchmarks/RESULTS.md; ARGS="--sizes=40000,200000"
	@echo "bench-peers: a line per run (about 25 minutes on 2 calm cores)"
	@$(PY) -m benchmarks.peers $(ARGS)

clean: ## Remove everything that make made, except the cache outside the checkout
	rm -rf .venv build dist native/target *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis coverage.xml .coverage*
	for folder in demo demo-live; do if [ -e $$folder/.ecompulse-demo ]; then rm -rf $$folder; fi; done
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
