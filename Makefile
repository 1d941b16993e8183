# `make help` lists the targets. Everything runs in a virtual environment of its own, .venv.

PYTHON ?= python3
ARGS ?=
RUNS ?= outputs
# Two processes run whole test files each; ARGS="-n 0 --pdb" makes it one process.
TWO := -n 2 --dist loadscope --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help train smoke test test-all coverage soak fuzz audit lint docs format tensorboard results \
  report sweepers benchmark benchmark-peers clean

## help: list the targets
help:
	@awk '/^## [a-z-]+: / { name = $$2; sub(/:$$/, "", name); sub(/^## [a-z-]+: /, ""); \
	  printf "  make %-15s %s\n", name, $$0 }' $(MAKEFILE_LIST)

## train: train on MovieLens 100K; ARGS="backend=process workers=5" or any other options
train: $(VENV)/installed
	$(BIN)/python train.py $(ARGS)

## smoke: check this installation: a small run per backend and trainer gives the bits of serial
smoke: $(VENV)/installed
	$(BIN)/python -m tests.bits smoke

## test: run the test suite; ARGS="tests/ratings -x" runs a part of it
test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(TWO) $(ARGS)

## test-all: run the slow tests as well
test-all: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(TWO) -m "slow or not slow" $(ARGS)

## coverage: run the tests and print how much of ddp/ they reach; ARGS="tests/ratings" runs a part
coverage: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(TWO) --cov --cov-report=term:skip-covered $(ARGS)
	@$(BIN)/python -m coverage json -q -o - | $(BIN)/python -c 'import json, sys; \
	  of = json.load(sys.stdin)["totals"]; \
	  print("lines {percent_statements_covered:.1f} %, " \
	  "branches {percent_branches_covered:.1f} %".format(**of))'

## soak: run random jobs with random faults on all backends for 30 minutes; ARGS="--minutes 5"
soak: $(VENV)/installed-dev
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python tests/whole/soak.py $(ARGS)

## fuzz: give every reader of files 100,000 damaged inputs; ARGS="-k csv" runs one reader
fuzz: $(VENV)/installed-dev
	FUZZ_INPUTS=100000 $(BIN)/python -m pytest tests/fuzz $(ARGS)

## audit: list known vulnerabilities of the packages that constraints.txt pins; needs the internet
audit: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[audit]"
	$(BIN)/python .ci/audit.py constraints.txt

## lint: check the code with ruff and mypy, the tables of the documents, and their links
lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m benchmarks.tables --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

## docs: build the documents as a site in site/, without a network
docs: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "file://$(CURDIR)/site/index.html (with search: $(BIN)/mkdocs serve)"

## format: lay out the code with ruff
format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## tensorboard: open TensorBoard on all runs
tensorboard: $(VENV)/installed
	$(BIN)/tensorboard --logdir outputs

## results: print one table of all runs
results: $(VENV)/installed
	$(BIN)/python -m ddp.results outputs

## report: write one HTML page about all runs; RUNS="outputs/multirun/2026-11-24": about some
report: $(VENV)/installed
	$(BIN)/python -m ddp.report $(RUNS)

## sweepers: install Optuna's sweeper and launchers of parallel jobs, see docs/how-to/sweep.md
sweepers: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[sweepers]"

## benchmark: measure the seed job on every system; `ls benchmarks` shows the other benchmarks
benchmark: $(VENV)/installed
	$(BIN)/python -m benchmarks.headline $(ARGS)

# LIBMF without AVX (x86) runs at half its speed; pip would reuse a wheel built without AVX.
## benchmark-peers: install peers for benchmarks: Cornac, Surprise, LIBMF, LensKit, myFM
benchmark-peers: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[benchmarks]"
	$(BIN)/python -m pip install --quiet --no-deps lenskit==2025.8.1
	CXXFLAGS="-O3 -mavx -DUSEAVX" $(BIN)/python -m pip install --quiet --no-cache-dir --no-deps \
	  --no-binary libmf --upgrade --target $(VENV)/libmf-avx libmf==0.9.2

## clean: remove the virtual environment and the caches; data/ and outputs/ stay
clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "needs Python 3.11 to 3.13, but $(PYTHON) is `$(PYTHON) -V 2>&1`;" \
	    "try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created setup.cfg pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@
