# SPDX-License-Identifier: Apache-2.0
#
# Every target does its own set-up: `make demo` in a fresh clone is enough. What is installed is
# noted in .venv/.stamp, so that a second call starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

# The extension wav2small_micro._native is compiled from these.
NATIVE := setup.py host/wav2small_micro/native_build.py host/wav2small_micro/pdm/modulator.c \
          $(shell find firmware/lib -name '*.[ch]' 2>/dev/null)
C_FILES := $(shell find firmware tests host -name '*.[ch]' 2>/dev/null)
PY_FILES := host tests firmware setup.py


# A kernel set is a choice at compile time: cppcheck sees them one at a time, as the compiler does.
KERNELS := firmware/lib/wav2small/kernels
KERNEL_SETS := $(notdir $(patsubst %/,%,$(wildcard $(KERNELS)/*/)))
CPPCHECK := --quiet --error-exitcode=1 --std=c99 --enable=warning,performance,portability \
            --inline-suppr --suppressions-list=firmware/cppcheck.suppressions \
            $(addprefix -Ifirmware/,include src lib/link lib/pdm lib/wav2small boards/common)

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz lint format sanitize clean distclean

help:
	@echo 'make setup     install what the command w2s needs: .venv/bin/w2s --help'
	@echo 'make demo      a clip through every engine and an emulated STM32F407'
	@echo 'make test      all tests: units, C under sanitizers, the firmware of every board in QEMU'
	@echo 'make sanitize  only the C tests under AddressSanitizer and UBSan'
	@echo 'make fuzz      every fuzzer for FUZZ_SECONDS=600: docs/testing.md'
	@echo 'make lint      ruff, mypy, clang-format, cppcheck'
	@echo 'make format    let ruff and clang-format rewrite the sources'
	@echo 'make clean     remove what was built; make distclean removes .venv too'

setup: $(STAMP)/base

demo: setup
	$(BIN)/w2s demo

# A worker a core, a file of tests at a time: they share fixtures by file. In the order of the
# folders, since those with long tests come first: the last file leaves the other cores idle. A worker
# that crashes ends the run, which would else wait for it.
test: $(STAMP)/test
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
	    --max-worker-restart 0 $(PYTEST_ARGS)

sanitize: $(STAMP)/test
	$(BIN)/python -m pytest tests/native $(PYTEST_ARGS)

# From a corpus that is kept, with feedback; a finding is an input in build/fuzz and exit code 1.
FUZZ_SECONDS ?= 600
fuzz: $(STAMP)/test
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

lint: $(STAMP)/lint
	$(BIN)/ruff check $(PY_FILES)
	$(BIN)/ruff format --check $(PY_FILES)
	$(BIN)/mypy
	clang-format --dry-run -Werror $(C_FILES)
	for set in $(KERNEL_SETS); do \
	    cppcheck $(CPPCHECK) -DW2S_KERNELS_$$(echo $$set | tr a-z A-Z) \
	        $(KERNELS)/$$set firmware/src firmware/lib/*/*.c firmware/boards || exit; \
	done

format: $(STAMP)/lint
	$(BIN)/ruff check --fix $(PY_FILES)
	$(BIN)/ruff format $(PY_FILES)
	clang-format -i $(C_FILES)

clean:
	rm -rf .pio build out host/*.egg-info host/wav2small_micro/_native* $(STAMP)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf $(VENV)

# Set-up. One `pip install` a profile: it is quick where nothing is missing, and it compiles the
# extension, so it runs again when pyproject.toml or a C source changes.

PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Without build isolation, which would fetch setuptools and cffi again for each of these.
EDITABLE = $(PIP) --no-build-isolation --editable
INSTALLED = @mkdir -p $(STAMP) && touch $(STAMP)/base $@

$(STAMP)/venv: scripts/system-tools.sh
	PYTHON='$(PYTHON)' scripts/system-tools.sh base
	test -x $(BIN)/python || '$(PYTHON)' -m venv $(VENV)
	$(PIP) 'setuptools>=77' 'cffi>=1.16'
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/base: $(STAMP)/venv pyproject.toml $(NATIVE)
	$(EDITABLE) .
	$(INSTALLED)

$(STAMP)/test: $(STAMP)/venv pyproject.toml $(NATIVE)
	PYTHON='$(PYTHON)' scripts/system-tools.sh test
	$(EDITABLE) '.[train,import,onnx-base,teachers,test]'
	# With its dependencies it would bring the package tensorflow beside tensorflow-cpu.
	$(PIP) --no-deps 'tf-keras~=2.21.0'
	$(INSTALLED)

$(STAMP)/lint: $(STAMP)/venv pyproject.toml
	PYTHON='$(PYTHON)' scripts/system-tools.sh lint
	$(EDITABLE) '.[lint]'
	$(INSTALLED)
