# `make demo` and `make test` set up everything they need; `make help` lists the rest.

PYTHON ?= python3
ENGINE ?= jax
VENV   ?= .venv
OUT    ?= runs/demo
BEAM_VENV ?= .venv-beam
# Minutes of `make fuzz`.
MINUTES ?= 60

BIN      := $(VENV)/bin
PACKAGES := $(wildcard keras_cmg data_tools recipes benchmarks)
INSTALL   = $(BIN)/python -m pip install --constraint constraints.txt --editable
# The CPU build of TensorFlow serves both targets, so that one environment holds one TensorFlow.
DEMO_EXTRA = $(subst tensorflow,tensorflow-cpu,$(ENGINE))

export TF_CPP_MIN_LOG_LEVEL ?= 2
# Compiled programs are kept between runs: JAX spends most of a test compiling.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0

.DELETE_ON_ERROR:
.PHONY: help demo test test-jax test-tensorflow test-torch test-slow test-beam test-keras fuzz docs lint format wheel clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo-$(ENGINE)  ## Train, probe and report on synthetic data (ENGINE=jax|torch|tensorflow).
	KERAS_BACKEND=$(ENGINE) $(BIN)/keras-cmg demo --out $(OUT) $(DEMO_ARGS)
	@echo "Activate the environment for further commands: source $(BIN)/activate"

test: lint test-torch test-jax test-tensorflow  ## Lint, types, tests on every engine, documentation examples.

test-jax: $(VENV)/.test  ## The tests that run on every engine, on JAX.
	KERAS_BACKEND=jax $(BIN)/python -m pytest --durations=10 -m "every_engine and not slow"

test-tensorflow: $(VENV)/.test  ## The same on TensorFlow.
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest --durations=10 -m "every_engine and not slow"

# One thread: on tensors as small as the tests', threads wait for one another longer than they work.
test-torch: $(VENV)/.test  ## All tests and docstring examples, on PyTorch.
	OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(BIN)/python -m pytest --durations=10 --doctest-modules $(PACKAGES) tests

test-slow: $(VENV)/.test  ## The slow tests, on PyTorch.
	OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(BIN)/python -m pytest -m slow

# Both lie before the environment's Keras on the path. The newest release that the constraints name is what all other
# tests run on.
test-keras: $(VENV)/.test  ## The tests that run on every engine, on the oldest and the newest Keras allowed.
	$(BIN)/python tests/helpers/keras_versions.py --cache .cache/keras -- -m "every_engine and not slow" tests/keras_cmg

fuzz: $(VENV)/.test  ## Damage files of every reader for an hour (MINUTES=60).
	OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(BIN)/python -m tests.fuzz --minutes $(MINUTES)

docs: $(VENV)/.test  ## Build the documentation site into build/site; warnings are errors.
	@mkdir -p build/docs
	OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs/site build/docs build/site

test-beam: $(BEAM_VENV)/.test  ## Extraction by Apache Beam, in an environment of its own.
	$(BEAM_VENV)/bin/python -m pytest -o filterwarnings= tests/data_tools/extraction/test_beam.py

lint: $(VENV)/.test  ## Style, formatting and types.
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy $(PACKAGES)

format: $(VENV)/.test  ## Format the code and mend what ruff can mend.
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

wheel: $(VENV)/.test  ## Build the wheel into dist/.
	$(BIN)/python -m hatchling build --target wheel

clean:  ## Remove the environment, caches and builds; runs/ stays.
	rm -rf $(VENV) $(BEAM_VENV) .cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("keras_cmg needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-$(ENGINE): pyproject.toml constraints.txt | $(VENV)/bin/python
	@case "$(ENGINE)" in jax|torch|tensorflow) ;; *) echo 'ENGINE must be jax, torch or tensorflow; got "$(ENGINE)"' >&2; exit 2;; esac
	$(INSTALL) ".[extract,report,search,$(DEMO_EXTRA)]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) ".[test]"
	@touch $@

# Without the constraints: Beam wants older versions of Pillow and protobuf.
$(BEAM_VENV)/.test: pyproject.toml
	$(PYTHON) -m venv $(BEAM_VENV)
	$(BEAM_VENV)/bin/python -m pip install --editable ".[beam]" pytest
	@touch $@
