# The commands of this repository. `make demo` and `make test` need git, make and Python >= 3.11 only.
VENV ?= .venv
PYTHON ?= python3
export VENV PYTHON

RUN = $(VENV)/bin/python
RUNTIME = $(VENV)/.runtime-is-installed
DEV = $(VENV)/.dev-is-installed
PINS = pyproject.toml requirements/runtime.txt requirements/build.txt
# Tests start the command many hundred times. Where PYTHONDONTWRITEBYTECODE is set, each start would
# compile all anew, which takes longer than what most commands do.
COMPILE = $(RUN) -m compileall -q pipelines engine stages

.DEFAULT_GOAL = help
.PHONY: help demo venv test nightly mutants lint format bench bench-peers docs pins

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(RUNTIME) ## build, deploy and promote a small shop, on the sandbox
	@$(RUN) examples/shop/demo.py

venv: $(DEV) ## make .venv from the pinned requirements

$(RUNTIME): $(PINS) scripts/make_venv.sh
	@scripts/make_venv.sh runtime
	@touch $@

$(DEV): $(PINS) requirements/dev.txt scripts/make_venv.sh
	@scripts/make_venv.sh dev
	@touch $(RUNTIME) $@

test: $(DEV) ## prepare the real parts and run all tests; ARGS="-k name" for some
	@scripts/install_system_packages.sh
	@$(RUN) -m tests.fixtures.go_build
	@$(COMPILE)
	@$(RUN) -m pytest --numprocesses 2 --dist loadscope $(ARGS)

nightly: $(DEV) ## the tests that take hours: large sweeps, fuzzing, soaks; ARGS="-k name" for some
	@scripts/install_system_packages.sh
	@$(RUN) -m tests.fixtures.go_build
	@$(COMPILE)
	@GENNAKER_TEST_SCALE=nightly $(RUN) -m pytest -m "nightly or scaled" --timeout 0 $(ARGS)

mutants: $(DEV) ## change the core in one place at a time; some test must fail; ARGS="--sample 100"
	@$(RUN) -m tests.mutants $(ARGS)

lint: $(DEV) ## ruff, mypy and the contracts between the packages
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: $(DEV) ## bring the code into its form
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/ruff format

bench: $(DEV) ## measure against the goals; ARGS=--check fails beyond them, ARGS=--write writes RESULTS.md
	@$(COMPILE)
	@$(RUN) -m benchmarks $(ARGS)

bench-peers: $(DEV) ## the same pipelines in other engines; on a quiet machine ARGS=--write, to try ARGS="--share 10 --rounds 1"
	@$(COMPILE)
	@$(RUN) -m benchmarks.peers $(ARGS)

docs: $(DEV) ## regenerate the reference pages from the code
	@$(RUN) scripts/generate_docs.py

pins: $(DEV) ## resolve the requirements anew; review the difference
	@scripts/pin_requirements.sh
