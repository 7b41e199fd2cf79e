# `make serve` and `make test` each set up all they need on a machine that has Python 3.11+ and make.
#
# On Linux the ordinary torch brings several GB of CUDA libraries. For a CPU build, name a package
# index that has CPU wheels (https://pytorch.org/get-started lists it) once, at the first install:
#     make serve TORCH_INDEX=<index URL>

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install serve test lint format clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv with everything that serving, training and testing need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "understory needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`. Try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install -q -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'
	@touch $@

serve: install ## the service and the page, on http://127.0.0.1:8000
	$(BIN)/python -m server

test: install ## all tests, Python and JavaScript
	@$(BIN)/python -m server.kernels # once per machine, so that no test has to wait for it
	$(BIN)/python -m pytest
	@if command -v node >/dev/null; then node --test tests/page/; \
	  else echo "node not found: the JavaScript unit tests were not run (they want Node 20+)"; fi

lint: install ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
