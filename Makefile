# `make help` lists what there is. Users call demo and test; developers check, unit and e2e.

CARGO ?= cargo
BIN := target/release/longshore
PLUGINS := plugins/tpch plugins/postgres plugins/mask plugins/impala plugins/odbc plugins/postgres-sink plugins/http-sink
HOSTILE := tests/hostile tests/hostile-transform tests/hostile-sink
VENV := target/venv

CARGO_DEB := target/tools/bin/cargo-deb

.PHONY: help build cluster demo wheel test check unit instructions e2e lint lint-python features bench cluster-faults crash soak fuzz late-rows examples \
  airflow orchestrators deb release airgap deny dist clean \
  install-plugins install-build install-test host plugins hostile examples-python

## The program and the bundled plugins: target/release/longshore, target/release/plugins/*.wasm
build: plugins

# The whole workspace chooses the crates' features, as it does for the tests: both share one build. Clusters bring
# Ballista, which nobody else compiles: `make CLUSTER=1 ..` builds and tests them, too.
CLUSTER ?=
WORKSPACE := --workspace $(if $(CLUSTER),,--exclude longshore-cluster)
host: install-build
	$(CARGO) build --release --locked $(WORKSPACE) --bins

plugins: host
	$(BIN) plugin build --locked --out target/release/plugins $(PLUGINS)

## The program that can use clusters: target/release/longshore-cluster, and the plugins
cluster:
	$(MAKE) build CLUSTER=1

## This list
help:
	@awk '/^## / { sub(/^## /, ""); text = text (text ? " " : "") $$0; next } \
	  /^[a-z][a-z0-9-]*:/ { if (text) { sub(/:.*/, ""); printf "  %-12s %s\n", $$0, text } } \
	  !/^#|^[A-Z_]+ [:?]?=/ { text = "" }' $(MAKEFILE_LIST)

## A daemon on a temporary folder, a dropped job, its Parquet
# It needs one plugin, and no `longshore-odbc`. `make build` shares the rest of the build.
demo: install-plugins
	$(CARGO) build --release --locked $(WORKSPACE) --bin longshore
	$(BIN) plugin build --locked --out target/release/plugins plugins/tpch
	@tools/demo.sh $(BIN)

## Everything, on servers of its own
test: lint-python build install-test hostile examples-python unit instructions
	$(PYTEST) tests/e2e

## Format, lint and unit tests, with the plugins of `make build`; installs nothing and needs no root
check:
	$(CARGO) fmt --all --check
	@tools/layers.py
	$(MAKE) unit

## The unit tests. Clippy's driver, where there is one, lints them and all they test while it compiles them
CLIPPY := $(shell command -v clippy-driver)
# They need not be as fast as the program.
UNIT_PROFILE := 'profile.release.package.longshore-engine.opt-level=1'
LINTED := RUSTC_WORKSPACE_WRAPPER=$(CLIPPY) CLIPPY_ARGS=-Dwarnings
UNIT := $(LINTED) $(CARGO) test --release --locked $(WORKSPACE) --config $(UNIT_PROFILE)
unit:
	$(UNIT)

## The instructions that a row takes: fails where there are more than before; needs valgrind, and `make unit` before
instructions:
	$(UNIT) --no-run --quiet --message-format json | tools/instructions.py $(INSTRUCTIONS)

## Some of the end-to-end tests: make e2e T="tests/e2e/sources/test_files.py -k header", or T="-m 'not hdfs'";
## tests/README.md has the markers
T ?= tests/e2e
WORKERS ?= 3
PYTEST := $(VENV)/bin/python -m pytest -q --tb=native --durations=15 --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
e2e: build install-test hostile
	$(PYTEST) $(T)

hostile: host
	$(BIN) plugin build --locked --out target/hostile $(HOSTILE)

## The Python wheel of what `make build` made: target/wheels; `WHEEL=--fast` for a larger one, sooner;
## `WHEEL="--programs target/dist"` for one of what `make dist` made
wheel:
	tools/wheel.py $(WHEEL)

## The Python of the package, tests, benchmarks and examples, by ruff; the package's types, by mypy
lint-python: install-test
	cd python && $(abspath $(VENV))/bin/python -m mypy
	$(VENV)/bin/python -m ruff check --quiet
	$(VENV)/bin/python -m ruff format --quiet --check

## Formatting, clippy, and nothing undocumented; in the build's profile, which then has its macros already
lint: install-build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked $(WORKSPACE) --all-targets -- -D warnings

## The program without each of its features, and without any: clippy, in a folder of its own; about 20 minutes
## the first time
FEATURES := azure hdfs kerberos odbc s3 sftp
features: $(FEATURES:%=without-%) without-all

without-%: install-build
	$(CARGO) clippy --release --locked --quiet --target-dir target/features --package longshore-cli \
	  --no-default-features --features "$(filter-out $(subst all,$(FEATURES),$*),$(FEATURES))" -- -D warnings

## Verdicts: goals against peers from PyPI, side by side; `make bench S=postgres` runs one section (docs/benchmarks.md)
bench: build install-test
	$(VENV)/bin/python -m pip install --quiet --requirement bench/requirements.txt
	$(if $(if $(S),$(filter loads starts,$(S)),all),@tools/install.sh venv target/dlt bench/dlt-requirements.txt)
	$(VENV)/bin/python bench/run.py $(S)

## A thousand rounds of kill -9 (the tests run 6)
ROUNDS ?= 1000
crash: build install-test
	PYTHONPATH=tests/e2e $(VENV)/bin/python -m support.crash --rounds $(ROUNDS)

## Clusters with faults, and a machine that is paused for a minute (the tests pause it for 17 seconds)
cluster-faults: cluster install-test
	PAUSE_SECS=60 $(VENV)/bin/python -m pytest -q tests/e2e/cluster

## Ten minutes of writers that commit late, and 100 kills (the tests take 12 seconds, and 6)
late-rows: build install-test
	LATE_ROWS_SECONDS=600 KILLS=100 $(VENV)/bin/python -m pytest -q tests/e2e/sources/test_incremental.py \
		-k "commit_late or a_kill"

## Airflow, in an environment of its own (about 225 MB), and the tests of its provider
airflow: build install-test
	@tools/install.sh venv target/airflow integrations/airflow/requirements.txt --no-deps
	$(VENV)/bin/python -m pytest -q tests/e2e/integrations/test_airflow.py

## Dagster and Prefect, in an environment of their own (about 220 MB), and the tests of their examples
orchestrators: build install-test
	@tools/install.sh venv target/orchestrators integrations/requirements.txt
	$(VENV)/bin/python -m pytest -q tests/e2e/integrations/test_orchestrators.py

## A thousand jobs at once (the tests drop 200)
soak: build install-test
	JOBS=1000 $(VENV)/bin/python -m pytest -q tests/e2e/faults/test_faults.py -k jobs_at_once

## Random input for the readers, job files, SQL and the inbox: as many cases of each property, and as many
## seconds with an inbox (the tests try 256 cases, and 10 seconds)
CASES ?= 20000
FUZZ_SECONDS ?= 600
fuzz: build install-test
	PROPTEST_CASES=$(CASES) RUSTC_WORKSPACE_WRAPPER=$(CLIPPY) CLIPPY_ARGS=-Dwarnings \
	  $(CARGO) test --release --locked $(WORKSPACE) --config $(UNIT_PROFILE) --lib
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(VENV)/bin/python -m pytest -q --tb=native tests/e2e/daemon/test_inbox_events.py

## The example plugins in Rust, C, Python and JavaScript, and their tests. Downloads those languages'
## tools (about 0.7 GB, once) to target/examples-tools
EXAMPLES := trim-c trim-javascript
examples: build install-test examples-python
	$(BIN) plugin build --locked --out target/examples plugins/examples/trim-rust
	$(call build_examples,$(EXAMPLES))
	$(VENV)/bin/python -m pytest -q tests/e2e/plugins/test_examples.py

# Those in Python need little: `make test` builds them, so that they keep to the contract.
PYTHON_EXAMPLES := trim-python calendar-python
examples-python: build
	$(call build_examples,$(PYTHON_EXAMPLES))

define build_examples
mkdir -p target/examples
for example in $(1); do \
  LONGSHORE=$(BIN) LONGSHORE_TOOLS=$(CURDIR)/target/examples-tools \
    plugins/examples/$$example/build.sh target/examples/$$example.wasm || exit 1; \
done
endef

## A Debian package of what `make build` made: target/debian/longshore.deb; `DEB=--fast` for a larger one, sooner
deb: build $(CARGO_DEB)
	$(call make_deb,release,$(DEB))

# A package of the program of a profile, with options for cargo-deb.
define make_deb
target/$(1)/longshore docs target/docs
gzip --force --best --no-name target/docs/man/*.1
SOURCE_DATE_EPOCH=$(EPOCH) $(CARGO_DEB) --package longshore-cli --no-build --quiet $(2) \
  --output target/debian/longshore.deb
endef

# Compiled once, and used a few times: its own profile makes what compresses fast.
$(CARGO_DEB):
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
	  $(CARGO) install --quiet --locked --root target/tools cargo-deb --version 3.8.0

## Licences, sources and advisories of all crates (needs cargo-deny)
deny:
	$(CARGO) deny check

## All packages, in target/release-VERSION: .deb, tarball, images, wheel, bill of materials, checksums;
## `make release SIGN_KEY=FILE` signs them by minisign (docs/how-to/install.md); `CLUSTER=1` adds an image with clusters
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
RELEASE := target/release-$(VERSION)
SIGN_KEY ?=
release: dist $(CARGO_DEB)
	$(call make_deb,dist,--profile dist)
	tools/wheel.py --programs target/dist
	CLUSTER_PROGRAM=$(if $(CLUSTER),target/dist/longshore-cluster) \
	  packaging/release.sh target/debian/longshore.deb $(RELEASE) $(SIGN_KEY)

## All packages in one signed archive that installs without a network: `make airgap SIGN_KEY=FILE`
airgap: release
	packaging/airgap/build.sh $(RELEASE) $(RELEASE) $(SIGN_KEY)

## The program optimised as a whole, and its plugins, for packages; takes long
# Its paths are the same wherever it is built. Files in packages have the time of the commit.
CARGO_HOME ?= $(HOME)/.cargo
DIST_FLAGS := --remap-path-prefix=$(CURDIR)=/longshore --remap-path-prefix=$(CARGO_HOME)=/cargo
EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)
dist: install-build
	RUSTFLAGS="$(RUSTFLAGS) $(DIST_FLAGS)" $(CARGO) build --profile dist --locked $(WORKSPACE) --bins
	target/dist/longshore plugin build --locked --out target/release/plugins $(PLUGINS)

clean:
	$(CARGO) clean

install-plugins:
	@tools/install.sh plugins

install-build: install-plugins
	@tools/install.sh build

install-test:
	@tools/install.sh test $(VENV) target/stores
