# The commands of the repository. README shows demo and test; nothing else is needed on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests of doors wait for settling, bans and time-outs: one more worker than cores. Files stay whole.
TEST_WORKERS ?= $(shell expr $$(nproc) + 1)
ROOMS := models matching parsing storage intake imports transfer mailgate
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: setup demo test run check bench prove lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q $(ROOMS)
	touch $@

demo: setup
	$(BIN)/mailgate demo

run: setup
	@test -f mailgate.toml || $(BIN)/mailgate init
	$(BIN)/mailgate serve

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup
	tests/programs
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

bench: setup
	tests/programs
	$(BIN)/python -m benchmarks

prove: setup
	tests/programs
	$(BIN)/python -m tests.proofs

# Needs uv (`pip install uv`); writes hashes and no address of an index. The second is for the image: no development.
lock:
	uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--extra authenticity --extra otel --extra dev --python-version 3.11 pyproject.toml \
		--output-file requirements.lock
	uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--extra authenticity --extra otel --python-version 3.11 --constraint requirements.lock pyproject.toml \
		--output-file deploy/requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
