# `make all` builds every figure and table, `make test` runs the tests; both make .venv first if need be.

PYTHON ?= python3.11
CORES ?= $(shell nproc)
BIN := .venv/bin
READY := .venv/lock-installed

# Snakemake's cache is below the home directory, which containers may not let anybody write.
ifneq ($(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}/snakemake" 2> /dev/null && echo made),made)
export XDG_CACHE_HOME := $(CURDIR)/scratch/home/.cache
endif

.PHONY: all test test-long test-all verify faults bench env stages record restore lock clean help

help: ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

# The default scheduler's solver takes the priority of prioritised targets for infinite, and mixes other jobs in.
all: $(READY) ## every figure and table at the scale of params.yaml
	$(BIN)/snakemake --cores $(CORES) --scheduler greedy --prioritize tab1 fig1 --quiet reason host

test: MARKED := not long ## the tests, with the workflow run end to end at the smoke scale
test-long: MARKED := long ## the tests that take long: every rule on a local Slurm (root, its packages), a build under kills
test-all: MARKED := long or not long ## both in one run, which builds the smoke scale once
test test-long test-all: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder -m "$(MARKED)"

verify: $(READY) ## build rows of table 1 and compare them with what is expected; ROW=de: one; SCALE=mini: of a scale
	@files=$$($(BIN)/dualenc verify --files $(SCALE:%=--config scale=%) $(ROW:%=--runs %)) && \
		$(BIN)/snakemake --cores $(CORES) --quiet reason host $(SCALE:%=--config scale=%) -- $$files
	@$(BIN)/dualenc verify $(SCALE:%=--config scale=%) $(ROW:%=--runs %)

faults: $(READY) ## kill jobs at random while everything is built, and compare with an undisturbed build
	$(BIN)/python tests/support/faults.py --kills 20

bench: $(READY) ## each hot path against what people would use: benchmarks/<device>.json, docs/performance.md; BENCH=quick: a glance
	$(BIN)/pip install --quiet ranx==0.3.21
	$(BIN)/python benchmarks/compare --threads $(CORES) $(BENCH)

env: $(READY) ## the environment alone, in .venv

stages: $(READY) ## write dvc.yaml anew, after an edit of params.yaml that changes which jobs there are
	$(BIN)/dualenc stages

record: $(READY) ## after make all: commit the results to DVC
	$(BIN)/dualenc record

restore: $(READY) ## after dvc pull or dvc checkout: tell Snakemake that the results are up to date
	$(BIN)/dualenc restore

lock: $(READY) ## resolve pyproject.toml again into requirements.lock
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--strip-extras --extra dev --output-file requirements.lock pyproject.toml
	sed -i '/^[^a-zA-Z0-9]/d;/^$$/d' requirements.lock  # comments
	sed -i 's/^torch==\([0-9.]*\).*/torch==\1/' requirements.lock  # the build (CPU, CUDA) is the machine's choice

clean: ## remove everything that was built, but not .venv
	@for lock in .snakemake/*.lock; do \
		test ! -e $$lock || ! command -v flock > /dev/null || flock --nonblock $$lock true || \
		{ echo "nothing is removed: $$lock is held by $$(cat $$lock); wait for it to end, or stop it."; exit 2; }; \
	done
	rm -rf results figures logs scratch .snakemake

$(READY): requirements.lock pyproject.toml
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@
