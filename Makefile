# Needs Python 3.11 or newer (PYTHON=…), git and make. Everything else is installed into .venv from the lock files.
PYTHON ?= python3
WORKERS ?= 3
RUNS ?= 3
PARTS ?= main
LARGE_GIB ?= 1
EXAMPLES ?= 2000
SEED ?= $(shell date +%s)
PICTURES ?= pictures

BIN := .venv/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --require-hashes
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'

# Where uv finds the CPU build of PyTorch: in a directory of wheels, or in PyTorch's own index.
TORCH_FROM = $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend cpu)

# The part of the benchmarks and its rows that need the emulators of object stores.
ROWS_OF_STORES := stores s3 azure google far-s3

# These workflows are outside .github/workflows, so the linters need their paths.
WORKFLOW_EXAMPLES := $(filter-out examples/gitlab-ci.yml,$(wildcard examples/*.yml))

# Bytecode halves the time to import mlflow, which many test processes do.
unexport PYTHONDONTWRITEBYTECODE
export MLFLOW_DISABLE_TELEMETRY := true

.DELETE_ON_ERROR:
.PHONY: help setup demo test test-spark test-container pictures fuzz bench flavors lint format lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: .venv/.installed .venv-mlflow2/.installed .browser/.installed .stores/.installed ## Install .venv, .venv-mlflow2, .browser and .stores

demo: .venv/.installed ## Build two small registries and run a check and three compares
	@$(BIN)/model-gate demo

test: .venv/.installed .venv-mlflow2/.installed .browser/.installed .stores/.installed ## Run the tests that need no container; PYTEST_ARGS adds options
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m 'not container and not fuzz and not flavors and not spark' \
		$(addprefix --ignore=tests/,container fuzz flavors spark) $(PYTEST_ARGS)

test-spark: .venv/.installed .venv-mlflow2/.installed .venv-spark/.installed ## Run the tests on a local Spark, which needs Java 17 or newer
	.venv-spark/bin/python -m pytest -m spark tests/spark $(PYTEST_ARGS)

test-container: .venv/.installed ## Run the tests that need a Docker engine; LARGE_GIB=2 is the size of large files
	MODEL_GATE_LARGE_GIB=$(LARGE_GIB) $(BIN)/python -m pytest -n 2 --dist loadfile -m container tests/container $(PYTEST_ARGS)

pictures: .venv/.installed .venv-mlflow2/.installed .browser/.installed ## Draw the summaries of the action as PNG files in PICTURES=pictures
	MODEL_GATE_PICTURES=$(PICTURES) $(BIN)/python -m pytest tests/unit/action/test_summary_pictures.py $(PYTEST_ARGS)

fuzz: .venv/.installed ## Search for pairs that are wrongly equivalent; EXAMPLES=2000 and SEED=… choose
	@echo "Seed $(SEED), $(EXAMPLES) pairs for each test. To repeat: make fuzz SEED=$(SEED) EXAMPLES=$(EXAMPLES)"
	MODEL_GATE_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m fuzz tests/fuzz --hypothesis-seed=$(SEED) -n $(WORKERS) \
		$(PYTEST_ARGS)

bench: .venv/.installed $(if $(filter $(ROWS_OF_STORES),$(PARTS) $(ROWS)),.stores/.installed) ## Measure speed for docs/performance.md; PARTS="main stores …", ROWS="…" and RUNS=3 choose
	$(BIN)/python -m benchmarks --runs $(RUNS) $(if $(ROWS),$(ROWS),$(addprefix --part ,$(PARTS)) --output .)

flavors: .venv/.installed .venv-flavors/.installed ## Log a model of each flavor twice, for docs/flavors.md; PYTEST_ARGS adds options
	$(BIN)/python -m pytest -m flavors tests/flavors $(PYTEST_ARGS)

lint: .venv/.installed ## Check style, types, import layers, workflows and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows action.yml $(WORKFLOW_EXAMPLES)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml $(WORKFLOW_EXAMPLES) tests/container/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci examples/gitlab-ci.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/hadolint Dockerfile

format: .venv/.installed ## Format the code and fix what ruff can fix
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Keeps locked versions that still satisfy the requirements. `make lock UPGRADE=--upgrade` takes the newest versions.
lock: $(UV) ## Update the lock files after a change of the dependencies
	$(COMPILE) $(UPGRADE) pyproject.toml --extra aws --extra azure --extra gcp --extra signatures --output-file requirements/runtime.lock
	$(COMPILE) $(UPGRADE) pyproject.toml --extra demo --extra dev --constraint requirements/runtime.lock \
		--output-file requirements/dev.lock
	$(COMPILE) $(UPGRADE) requirements/mlflow2.in --output-file requirements/mlflow2.lock
	$(COMPILE) $(UPGRADE) requirements/spark.in --constraint requirements/dev.lock --output-file requirements/spark.lock
	$(COMPILE) $(UPGRADE) requirements/stores/tools.in --output-file requirements/stores/tools.lock
	$(COMPILE) $(UPGRADE) requirements/flavors.in --constraint requirements/dev.lock --excludes requirements/flavors.excludes \
		--output-file requirements/flavors.lock

clean: ## Remove all files that these targets make
	rm -rf .venv .venv-mlflow2 .venv-flavors .venv-spark .browser .stores pictures .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist model-gate-demo
	find src tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# pip installs only uv, at the version of the lock file.
$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Model Gate needs Python 3.11 or newer, \
	and this is %s. Name another one: make PYTHON=python3.13" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements/dev.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt

.venv/.installed: requirements/dev.lock pyproject.toml | $(UV)
	$(INSTALL) --python $(BIN)/python -r requirements/dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The last MLflow 2, which the tests run as a server: .venv-mlflow2/bin/mlflow
.venv-mlflow2/.installed: requirements/mlflow2.lock | $(UV)
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-mlflow2
	$(INSTALL) --python .venv-mlflow2/bin/python -r requirements/mlflow2.lock
	@touch $@

# The tests of .venv with Spark, which takes 500 MB.
.venv-spark/.installed: requirements/dev.lock requirements/spark.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-spark
	$(INSTALL) --python .venv-spark/bin/python -r requirements/dev.lock -r requirements/spark.lock
	$(UV) pip install --quiet --python .venv-spark/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# What `make flavors` saves models with. The lock file is complete but for PyTorch, which has a file of its own.
.venv-flavors/.installed: requirements/flavors.lock requirements/flavors-torch.txt | $(UV)
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-flavors
	$(INSTALL) --no-deps --python .venv-flavors/bin/python -r requirements/flavors.lock
	$(INSTALL) --no-deps --python .venv-flavors/bin/python -r requirements/flavors-torch.txt $(TORCH_FROM)
	@touch $@

# The browser, the diagram library and the fonts with which the tests draw summaries.
.browser/.installed: requirements/browser/package-lock.json requirements/browser/package.json requirements/browser/unpack.mjs
	@command -v npm >/dev/null || { echo >&2 'The browser of the tests is installed with npm, which is missing: \
	install Node.js with npm, such as with apt-get install npm.'; exit 1; }
	rm -rf .browser
	mkdir .browser
	cp $^ .browser
	cd .browser && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node unpack.mjs
	@touch $@

# Emulators of object stores, and rclone, for the tests and the benchmarks.
.stores/.installed: requirements/stores/package-lock.json requirements/stores/package.json requirements/stores/tools.lock | $(UV)
	@command -v npm >/dev/null || { echo >&2 'The emulators of object stores are installed with npm, which is missing: \
	install Node.js with npm, such as with apt-get install npm.'; exit 1; }
	rm -rf .stores
	mkdir .stores
	cp $(filter %.json,$^) .stores
	cd .stores && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
	$(UV) venv --quiet --python $(BIN)/python .stores/tools
	$(INSTALL) --python .stores/tools/bin/python -r requirements/stores/tools.lock
	@touch $@
