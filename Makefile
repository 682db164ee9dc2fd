# `make help` lists the targets. All but those for a GPU run in the environment .venv, with the versions of constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
READY := $(VENV)/.imgrestore-dependencies
BUILT := $(VENV)/.imgrestore-built
PEERS := $(VENV)/.imgrestore-peers
BENCH := build/benchmarks

# The targets for a GPU run on a machine that has torch for CUDA already: with python3, or PYTHON, as it is, and no .venv.
GPU_PYTHON := $(if $(filter file,$(origin PYTHON)),python3,$(PYTHON))
GPU := PYTHONPATH=$(CURDIR) $(GPU_PYTHON)
GPU_OUT ?= build/gpu
NATIVE := setup.py $(wildcard csrc/*.cpp csrc/*/*.cpp csrc/*/*.h csrc/*/*/*.cpp csrc/*/*/*.h)

# Idle threads of torch would otherwise spin and take the cores from the ones that work.
export OMP_WAIT_POLICY ?= PASSIVE

# The op tests on a library of its own that is checked as it runs. Python knows nothing of the sanitizers, so they have to
# be loaded first, and what it never frees is no concern.
SANITIZED := $(CURDIR)/build/sanitize
OP_TESTS := $(patsubst imgrestore/ops/%.py,tests/test_%.py,$(filter-out imgrestore/ops/_%.py,$(wildcard imgrestore/ops/*.py)))
OP_TESTS += tests/test_net_ops.py

.PHONY: help install demo test lint sanitize races docs bench wheel gpu gpu-build gpu-test gpu-sanitize gpu-bench clean distclean

help:  ## List the targets.
	@sed -n 's/^\([a-z%-]*\):.*##/\1\t/p' Makefile | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no python3.11 or python3 found: apt install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$($(PYTHON) --version) is too old for the pinned versions, which need 3.11: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  v=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  echo "make: $$v is missing, and without it no environment can be made: apt install $$v" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# torch by itself and first: the native code is built against the torch that is installed.
$(READY): constraints.txt pyproject.toml | $(BIN)/python
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) setuptools wheel ninja numpy pybind11
	IMGRESTORE_NATIVE=0 $(PIP) --no-build-isolation -e '.[fits,onnx,scale,test,lint,docs]'
	@touch $@

$(BUILT): $(READY) $(NATIVE)
	@command -v "$${CXX:-g++}" >/dev/null || echo "make: no C++ compiler, so there will be no native code: the same functions run in torch"
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

install: $(BUILT)  ## Make the environment and build the native code.

demo: $(BUILT)  ## Deblur a real picture, with a PSF and blind; results and comparisons go to demo/.
	@$(BIN)/python tools/demo.py

lint: $(BUILT)  ## ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint  ## What CI runs: lint, then pytest, a process for each core.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

sanitize: $(READY)  ## Run the op tests with the address and undefined-behaviour sanitizers.
	IMGRESTORE_SANITIZE=1 IMGRESTORE_NATIVE=1 $(BIN)/python setup.py -q build_ext \
	  --build-lib $(SANITIZED) --build-temp $(SANITIZED)/objects
	@test -f $(SANITIZED)/imgrestore/_C.abi3.so || { echo "make: the sanitized library was not built" >&2; exit 1; }
	LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  IMGRESTORE_NATIVE=1 IMGRESTORE_LIBRARY=$(SANITIZED)/imgrestore/_C.abi3.so $(BIN)/python -m pytest --capture=sys $(OP_TESTS)

races: $(BUILT)  ## Have the executor look for races in the device kernels, and for accesses that are not aligned.
	IMGRESTORE_RACES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto tests/test_executor.py tests/test_device_*.py

docs: $(BUILT)  ## Build the documentation, warnings are errors.
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# The packages of the extra alone: to install the extra as such would build the native code again.
$(PEERS): $(READY)
	$(BIN)/python -c 'import tomllib; t = tomllib.load(open("pyproject.toml", "rb")); \
	  print(*t["project"]["optional-dependencies"]["bench"], sep="\n")' | $(PIP) -r /dev/stdin
	@touch $@

# A slice of a longer schedule: the same call goes on where the last one stopped. ARGS takes further options.
MINUTES ?= 10
OUT ?= runs/$*.safetensors
train-%: $(BUILT)  ## Train a net for MINUTES: make train-deblur MINUTES=10 CLEAN=pictures OUT=runs/deblur.safetensors
	@$(BIN)/python -m imgrestore train $* $(if $(CLEAN),--clean '$(CLEAN)') $(if $(PAIRS),--pairs '$(PAIRS)') \
	  --out '$(OUT)' --slice $(MINUTES) $(ARGS)

bench: $(BUILT) $(PEERS)  ## Measure imgrestore beside other libraries, about 12 minutes; writes docs/benchmarks.md.
	rm -f $(BENCH)/*.json
	$(BIN)/python -m pytest benchmarks --results $(BENCH)/with-peers.json
	$(BIN)/python -m pytest benchmarks --ours --results $(BENCH)/alone.json
	IMGRESTORE_ISA=avx2 $(BIN)/python -m pytest benchmarks --ours --results $(BENCH)/avx2.json
	$(BIN)/python -m benchmarks.report

wheel: $(BUILT)  ## Build a wheel into dist/.
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation -w dist .

gpu: gpu-build  ## All four of the following, on a machine with a GPU: with python3, or PYTHON, as it is, without .venv.
	@failed=""; for part in test sanitize bench; do \
	  $(MAKE) --no-print-directory gpu-$$part || failed="$$failed gpu-$$part"; done; \
	  test -z "$$failed" || { echo "make: failed:$$failed" >&2; exit 1; }

# For the GPUs that are here alone, where there are any. What an older build left must not pass for this one's.
gpu-build:  ## Build the native code for CPU and CUDA in place; needs nvcc and a torch for CUDA, but no GPU.
	rm -f imgrestore/_C_cuda*.so build/lib*/imgrestore/_C_cuda*.so
	list="$${TORCH_CUDA_ARCH_LIST:-$$($(GPU) tools/gpu.py architectures)}"; \
	  $${list:+env "TORCH_CUDA_ARCH_LIST=$$list"} $(GPU_PYTHON) setup.py -q build_ext --inplace
	@$(GPU) tools/gpu.py check

gpu-test:  ## Run the tests of the device kernels on the GPU; ARGS takes options of pytest.
	@mkdir -p $(GPU_OUT)
	$(GPU) -m pytest --device cuda --tb=short --maxfail=30 -rfEs --durations=5 --junitxml=$(GPU_OUT)/tests.xml $(ARGS) \
	  tests/test_device_*.py 2>&1 | tee $(GPU_OUT)/tests.log

gpu-sanitize:  ## Run some of them under compute-sanitizer: memory, races, reads of what was never written.
	$(GPU) tools/gpu.py sanitize --out $(GPU_OUT) $(ARGS)

gpu-bench:  ## Measure on the GPU, some minutes; writes docs/benchmarks-gpu.md. ARGS takes options, such as --only box.
	@mkdir -p $(GPU_OUT)
	$(GPU) -m benchmarks.gpu --copies $(GPU_OUT) $(ARGS)

clean:  ## Remove what was built, except the environment.
	rm -rf build dist demo docs/_build docs/auto_examples docs/generated imgrestore/*.so *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f $(BUILT)

distclean: clean  ## Remove the environment too.
	rm -rf $(VENV)
