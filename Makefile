# What people call: make demo, make test, make build. What developers call: make lint, bench, dist.

CARGO ?= cargo
BIN := target/release/longshore
PLUGINS := plugins/tpch plugins/postgres plugins/mask
HOSTILE := tests/hostile
VENV := target/venv

.PHONY: build demo test lint bench deny dist clean install-build install-test host plugins

## The program and the bundled plugins: target/release/longshore, target/release/plugins/*.wasm
build: plugins

# The whole workspace chooses the crates' features, as it does for the tests: both share one build.
host: install-build
	$(CARGO) build --release --locked --workspace --bins

plugins: host
	$(BIN) plugin build --locked --out target/release/plugins $(PLUGINS)

## A daemon on a temporary folder, a dropped job, its Parquet
demo: build
	@tools/demo.sh $(BIN)

## Everything, on servers of its own
test: build install-test
	$(BIN) plugin build --locked --out target/hostile $(HOSTILE)
	$(CARGO) test --release --locked --workspace
	$(VENV)/bin/python -m pytest -q tests/e2e

## Formatting, clippy, and nothing undocumented
lint: install-build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

## Ratios against peers from PyPI, side by side; see docs/benchmarks.md
bench: build install-test
	$(VENV)/bin/pip install --quiet --requirement bench/requirements.txt
	$(VENV)/bin/python bench/run.py

## Licences and sources of all crates (needs cargo-deny)
deny:
	$(CARGO) deny check licenses bans sources

## The program optimised as a whole, for packages
dist: install-build
	$(CARGO) build --profile dist --locked --workspace --bins

clean:
	$(CARGO) clean

install-build:
	@tools/install.sh build

install-test:
	@tools/install.sh test $(VENV)
