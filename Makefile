# `make help` lists the targets. Everything runs in a virtual environment of its own, .venv.

# 3.12.1 is left out: its garbage collector crashes (CPython issue 111211).
FITS := import sys; v = sys.version_info[:3]; sys.exit(not (3, 11) <= v < (3, 15) or v == (3, 12, 1))
# the first that fits, unless PYTHON=... names one
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  $$each -c '$(FITS)' 2> /dev/null && { echo $$each; break; }; done)
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
ARGS ?=
RUNS ?= outputs
# Two processes run whole test files each; ARGS="-n 0 --pdb" makes it one process.
TWO := -n 2 --dist loadscope --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help train smoke kernels test test-all coverage soak fuzz audit lint docs format tensorboard results \
  report sweepers trackers benchmark benchmark-peers clean

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

# compiles all kernels once, before two processes of pytest would do so at the same time
kernels: $(VENV)/installed-dev
	@$(BIN)/python -c "import ddp.trainers.sweeper, ddp.aggregation.mean"

## test: run the test suite; ARGS="tests/ratings -x" runs a part of it
test: kernels
	$(BIN)/python -m pytest $(TWO) $(ARGS)

## test-all: run the slow tests as well
test-all: kernels
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

## report: write one HTML page about all runs; ARGS=--open opens it, RUNS="outputs/multirun/DATE"
report: $(VENV)/installed
	$(BIN)/python -m ddp.report $(RUNS) $(ARGS)

## sweepers: install Optuna's sweeper and launchers of parallel jobs, see docs/how-to/sweep.md
sweepers: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[sweepers]"

## trackers: install MLflow and W&B, and test them, see docs/how-to/trackers.md
trackers: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mlflow,wandb]"
	$(BIN)/python -m pytest tests/tracking/test_mlflow.py tests/tracking/test_wandb.py

## benchmark: measure the seed job on every system; `ls benchmarks` shows the other benchmarks
benchmark: $(VENV)/installed
	$(BIN)/python -m benchmarks.headline $(ARGS)

# LIBMF without AVX (x86) runs at half its speed; pip would reuse a wheel built without AVX.
## benchmark-peers: install peers for benchmarks: Cornac, Surprise, LIBMF, LensKit, myFM, implicit
benchmark-peers: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[benchmarks]"
	$(BIN)/python -m pip install --quiet --no-deps lenskit==2025.8.1
	CXXFLAGS="-O3 -mavx -DUSEAVX" $(BIN)/python -m pip install --quiet --no-cache-dir --no-deps \
	  --no-binary libmf --upgrade --target $(VENV)/libmf-avx libmf==0.9.2

## clean: remove the virtual environment and the caches; data/ and outputs/ stay
clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

$(VENV)/created:
	@$(or $(PYTHON),false) -c '$(FITS)' 2> /dev/null || { \
	  echo "needs Python 3.11 to 3.14, but not 3.12.1: install one, or name it as in"; \
	  echo "make $(MAKECMDGOALS) PYTHON=/path/to/python3.13"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# pip would prefer the build with CUDA where an index has both.
$(VENV)/installed: $(VENV)/created setup.cfg pyproject.toml constraints.txt
	@echo "Installing into $(VENV). torch is the largest download: 0.2 GB if the package index has"
	@echo "its CPU build, else up to 3 GB (with CUDA, which nothing here uses)."
	@$(BIN)/python -m pip install -c constraints.txt "torch==$(TORCH)+cpu" 2> /dev/null \
	  || echo "the index has no CPU build of torch"
	$(BIN)/python -m pip install -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@
