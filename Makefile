# `make` alone lists what there is. `make demo` and `make test` need python3 with venv, and nothing else.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.lepton-setup
SIDE_BY_SIDE := -n 2 --dist loadfile
PURE := lepton_core/space.py,lepton_core/domains.py,lepton_core/events.py,lepton_core/fold.py

# Nothing that is started from here phones home.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help setup demo test check check-format check-lint check-types check-imports fmt cov crashes reference bench peers fuzz soak dist constraints clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  ARGS goes to the tool, as in: make test ARGS='-k resume -x'"

setup: $(STAMP) ## Make .venv with Lepton, what it needs and what its checks need (uv is used where there is one)

# A virtual environment does not survive being moved or copied: the stamp holds the folder that it was made in.
ifneq ($(wildcard $(STAMP)),)
ifneq ($(shell cat $(STAMP)),$(CURDIR))
$(STAMP): FORCE
endif
endif

$(STAMP): pyproject.toml constraints.txt .ci/setup
	@sh .ci/setup $(VENV) $(notdir $(STAMP))

demo: setup ## Tune a model on real data, then compare the result with random search
	$(BIN)/lepton run examples/breast_cancer/sweep.yaml
	$(BIN)/python examples/breast_cancer/compare.py

test: setup ## Run the tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

check: setup ## Check format, lint, types and who imports whom (all four, even if one fails)
	@$(MAKE) --no-print-directory --keep-going check-format check-lint check-types check-imports

check-format: setup
	$(BIN)/python -m ruff format --check
check-lint: setup
	$(BIN)/python -m ruff check
check-types: setup
	$(BIN)/python -m mypy
check-imports: setup
	$(BIN)/lint-imports --no-cache

fmt: setup ## Format, and mend what can be mended safely
	$(BIN)/python -m ruff format
	$(BIN)/python -m ruff check --fix

cov: setup ## Run the tests with branch coverage; the heart of the core must reach 100 %
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --fail-under=100 --include='$(PURE)'

crashes: setup ## Kill drivers and workers at every write point, and write docs/crashes.md anew
	LEPTON_TEST_WRITE_CRASHES=1 $(BIN)/python -m pytest tests/flows/test_crash_matrix.py -k 'not the_page'

reference: setup ## Write docs/reference.md anew from the docstrings
	$(BIN)/python docs/make_reference.py

bench: setup ## Measure what Lepton itself costs per trial
	$(BIN)/python benchmarks/overhead.py $(ARGS)

peers: ## Make the environments of the published searchers that need their own, for benchmarks/search.py (a few GB)
	sh .ci/peers $(ARGS)

fuzz: setup ## Fuzz with 100,000 inputs for each target (an hour; with atheris where it is installed)
	$(BIN)/python tests/fuzz/run.py $(ARGS)

soak: setup ## Kill a deployment's server, worker and runs at random for ten minutes (ARGS='--minutes 2 --seed 1')
	$(BIN)/python tests/soak/run.py $(ARGS)

dist: setup ## Build the sdist, and the wheel from it, into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

constraints: ## Renew constraints.txt: the newest releases that pyproject.toml allows
	@sh .ci/constraints

clean: ## Remove what was built and cached (.venv, and what sweeps recorded in mlruns/, stay)
	rm -rf build dist htmlcov .coverage .coverage.* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find lepton lepton_core tasks flows tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

FORCE:
