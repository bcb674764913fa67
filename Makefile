# What people do here; `make help` lists it. Everything installs into .venv, and only when a requirement file changed.

# Python 3.11 or newer: `make run PYTHON=/path/to/python` picks another one.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Where buf may keep what it likes to keep; it would use the home folder, which a container need not have.
BUF := BUF_CACHE_DIR=build/buf $(BIN)/buf
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv
FAST_TESTS := tests/core tests/architecture tests/contract tests/deploy
# Real data of the feeds, and everything that starts a server: most of it waits, so that two files go on at once.
SERVER_TESTS := tests/feeds $(filter-out %/local/ %/__pycache__/,$(wildcard tests/integration/*/))
# These start and interrupt servers, measure pauses, or start a whole city.
LARGE_TESTS := tests/integration/local tests/faults tests/e2e
# The timeout of a test is an alarm for its own thread, which does not end what waits outside of Python's reach (a
# child that never comes back). This one shows where every thread is, and ends the process.
PYTEST := $(BIN)/pytest -o faulthandler_timeout=1200 -o faulthandler_exit_on_timeout=true
ARGS ?=
# Prometheus' own tool; `make test` does without where it is not installed, and says so.
PROMTOOL := $(or $(shell command -v promtool),build/promtool/usr/bin/promtool)

RUN_REQUIREMENTS := requirements-build.txt requirements.txt requirements-local.txt
# Python peers of the benchmark, each in a virtual environment apart from ours: their pins would fight.
PEERS := tests/benchmarks/peers/requirements
PEER_ENVIRONMENTS := $(patsubst $(PEERS)/%.txt,build/peers/%/.installed,$(wildcard $(PEERS)/*.txt))
PROTO_SOURCES := $(shell find proto -name '*.proto' -o -name generate.py)
PEERS_JAVA_SOURCES := $(shell find tests/benchmarks/peers/java tests/benchmarks/job/proto proto/urban/common -type f)

.PHONY: run test test-fast test-real test-alerts test-cluster test-images lint proto manifests bench bench-peers quality faults reset clean help lock
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

run: $(VENV)/.run build/proto/.made ## start the whole city on this machine: make run ARGS="--for 60s"
	@exec $(BIN)/urban up $(ARGS)

test: lint ## check style, types and contracts, then run all tests
	$(PYTEST) -n auto --dist loadfile $(wildcard $(FAST_TESTS)) $(ARGS)
	$(PYTEST) -n 2 --dist loadfile $(wildcard $(SERVER_TESTS)) $(ARGS)
	$(PYTEST) $(wildcard $(LARGE_TESTS)) $(ARGS)

test-fast: $(VENV)/.dev build/proto/.made ## core, architecture and contracts: no server, a fifth of the random examples
	URBAN_TEST_EXAMPLES=0.2 $(PYTEST) -q -n auto --dist loadfile $(wildcard $(FAST_TESTS)) $(ARGS)

test-real: $(VENV)/.dev build/proto/.made ## replay Beijing's air and Aarhus' garages whole, 671 days of Toronto's delays, held against SQL and files
	URBAN_REAL_DAYS=671 $(PYTEST) -o faulthandler_timeout=20000 -s tests/integration/environment/test_engine_equals_days.py \
		tests/integration/recordings/test_beijing.py tests/integration/recordings/test_trains_and_garages.py $(ARGS)

test-images: $(VENV)/.dev build/proto/.made ## build the image and run the city of docker-compose.yml; Debian and root
	@$(BIN)/python -m tests.images $(ARGS)

test-cluster: $(VENV)/.dev build/proto/.made ## have a real control plane judge the manifests, and a real node run dev; Debian, root and Go
	@$(BIN)/python -m tests.cluster $(ARGS)

lint: $(VENV)/.dev build/proto/.made ## check style, types and contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(wildcard proto/urban),$(BUF) lint proto)
	@$(if $(wildcard proto/urban),$(compare_with_last_release))

proto: $(VENV)/.run ## make the Python code of the contracts anew, if they changed
	@$(BIN)/python proto/generate.py
	@touch build/proto/.made

manifests: $(VENV)/.dev build/proto/.made ## make what is generated below deploy/k8s anew
	$(BIN)/python -m deploy.k8s

test-alerts: $(VENV)/.dev build/proto/.made $(PROMTOOL) ## fire each alert at its fault, by Prometheus' own tool
	URBAN_PROMTOOL=$(abspath $(PROMTOOL)) $(BIN)/pytest tests/deploy/test_alerts.py $(ARGS)

bench: $(VENV)/.dev build/proto/.made ## measure throughput and latency
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-peers: $(VENV)/.dev build/proto/.made $(PEER_ENVIRONMENTS) build/peers/java/.made ## measure other engines on the same job
	$(BIN)/python -m tests.benchmarks.peers $(ARGS)

quality: $(VENV)/.dev build/proto/.made ## judge rules and detectors by cities of which all is known: make quality ARGS="--seeds 2"
	$(BIN)/python -m tests.benchmarks.quality $(ARGS)

faults: $(VENV)/.dev build/proto/.made ## run the whole fault matrix with more seeds and faults
	$(BIN)/python -m tests.faults $(ARGS)

reset: $(VENV)/.run ## wipe the data of this machine's city, keep what was downloaded
	$(BIN)/python -m deploy.local --reset $(ARGS)

clean: ## remove everything that was built or installed, but no data
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.urban -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

lock: $(VENV)/.dev # compile the requirement files again; UPGRADE=1 takes newer versions
	$(call compile,requirements)
	$(call compile,requirements-build,-c requirements.txt)
	$(call compile,requirements-local,-c requirements.txt)
	$(call compile,requirements-dev,-c requirements.txt -c requirements-build.txt -c requirements-local.txt)
	$(call compile,requirements-feeds,--no-deps -c requirements-local.txt)
	$(call compile,requirements-sbom,-c requirements.txt -c requirements-build.txt -c requirements-dev.txt)
	$(call compile,requirements-sumo)

compile = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) $(1).in $(2) -o $(1).txt

# A contract that others read may only grow: compare it with what was released last.
define compare_with_last_release
tag=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || tag=; \
	if [ -z "$$tag" ]; then echo "buf breaking: no release yet, nothing to compare"; \
	else echo "$(BUF) breaking proto --against $$tag" && $(BUF) breaking proto --against ".git#tag=$$tag,subdir=proto"; fi
endef

# Layers of one virtual environment. Each stamp is as new as the files that its layer was installed from.
$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed: none found on PATH; set PYTHON=…" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.requirements: $(VENV)/.made $(RUN_REQUIREMENTS)
	@echo "installing what a run needs (about 340 MB to download, once; a minute or two)"
	$(PIP_INSTALL) --require-hashes $(foreach file,$(RUN_REQUIREMENTS),-r $(file))
	@touch $@

$(VENV)/.run: $(VENV)/.requirements pyproject.toml setup.py
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(PIP_INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

build/peers/%/.installed: $(PEERS)/%.txt
	$(PYTHON) -m venv build/peers/$*
	build/peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

build/promtool/usr/bin/promtool:
	@mkdir -p build/promtool
	@cd build/promtool && apt-get download prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb || { \
		echo "promtool is not on PATH, and this machine cannot get Debian's package prometheus" >&2; exit 1; }

# The peers that run on the JVM; needs Maven and a JDK of version 17 or newer.
build/peers/java/.made: $(VENV)/.run $(PEERS_JAVA_SOURCES)
	@$(BIN)/python -m tests.benchmarks.peers.jvm

build/proto/.made: $(VENV)/.run $(PROTO_SOURCES)
	@$(BIN)/python proto/generate.py
	@touch $@
