# Two commands do everything on a machine with Python 3.11+, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check bench validate clean

$(BIN)/suanli: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .
	@touch $@

$(VENV)/.dev: $(BIN)/suanli
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@

demo: $(BIN)/suanli  ## run the first scenario and write its run folder
	$(BIN)/suanli run scenarios/deepseek-day.toml -o runs

test: $(VENV)/.dev  ## every test
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

validate: $(VENV)/.dev  ## predicted against published; large tables from $SUANLI_DATA or ../shared/data where they are
	$(BIN)/suanli validate $(if $(wildcard ../shared/data),--data ../shared/data,)

bench: $(VENV)/.dev  ## CPU seconds of the commands with a budget
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
