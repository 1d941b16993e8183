# `make help` lists the targets. Everything runs in a virtual environment of its own, .venv.

PYTHON ?= python3
ARGS ?=
RUNS ?= outputs
# Two processes run whole test files each; ARGS="-n 0 --pdb" makes it one process.
TWO := -n 2 --dist loadscope --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help train smoke test test-all coverage soak fuzz audit lint format tensorboard results report benchmark benchmark-peers clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

train: $(VENV)/installed ## train on MovieLens 100K; ARGS="backend=process workers=5" or any other options
	$(BIN)/python train.py $(ARGS)

smoke: $(VENV)/installed ## check this installation in a minute: a small run per backend and trainer must give the bits of serial
	$(BIN)/python -m tests.bits smoke

test: $(VENV)/installed-dev ## run the test suite; ARGS="tests/ratings -x" runs a part of it
	$(BIN)/python -m pytest $(TWO) $(ARGS)

test-all: $(VENV)/installed-dev ## run the slow tests as well
	$(BIN)/python -m pytest $(TWO) -m "slow or not slow" $(ARGS)

coverage: $(VENV)/installed-dev ## run the test suite and print how much of ddp/ it reaches; ARGS="tests/ratings" runs a part
	$(BIN)/python -m pytest $(TWO) --cov --cov-report=term:skip-covered $(ARGS)
	@$(BIN)/python -m coverage json -q -o - | $(BIN)/python -c 'import json, sys; \
	  of = json.load(sys.stdin)["totals"]; \
	  print("lines {percent_statements_covered:.1f} %, branches {percent_branches_covered:.1f} %".format(**of))'

soak: $(VENV)/installed-dev ## run random jobs with random faults on all backends for 30 minutes; ARGS="--minutes 5"
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python tests/whole/soak.py $(ARGS)

fuzz: $(VENV)/installed-dev ## give every reader of files 100,000 damaged inputs; ARGS="-k csv" runs one reader
	FUZZ_INPUTS=100000 $(BIN)/python -m pytest tests/fuzz $(ARGS)

audit: $(VENV)/installed ## list known vulnerabilities of the packages that constraints.txt pins; needs the internet
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[audit]"
	$(BIN)/python .ci/audit.py constraints.txt

lint: $(VENV)/installed-dev ## check the code with ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev ## lay out the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tensorboard: $(VENV)/installed ## open TensorBoard on all runs
	$(BIN)/tensorboard --logdir outputs

results: $(VENV)/installed ## print one table of all runs
	$(BIN)/python -m ddp.results outputs

report: $(VENV)/installed ## write one HTML page about all runs; RUNS="outputs/multirun/2026-11-24" takes some of them
	$(BIN)/python -m ddp.report $(RUNS)

benchmark: $(VENV)/installed ## measure the seed job on every system; `ls benchmarks` shows the other benchmarks
	$(BIN)/python -m benchmarks.headline $(ARGS)

# LIBMF without AVX (x86) runs at half its speed, and pip would reuse a wheel that it built without AVX.
benchmark-peers: $(VENV)/installed ## install the libraries that benchmarks compare with: Cornac, Surprise, LIBMF, LensKit, myFM
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[benchmarks]"
	$(BIN)/python -m pip install --quiet --no-deps lenskit==2025.8.1
	CXXFLAGS="-O3 -mavx -DUSEAVX" $(BIN)/python -m pip install --quiet --no-cache-dir --no-deps --no-binary libmf \
	  --upgrade --target $(VENV)/libmf-avx libmf==0.9.2

clean: ## remove the virtual environment and the caches; data/ and outputs/ stay
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "needs Python 3.11 to 3.13, but $(PYTHON) is `$(PYTHON) -V 2>&1`; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created setup.cfg pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@
