# make run    build and start Tandem on ./data
# make demo   a call that interrupts the demo bot, without phone or microphone
# make test   everything that has to pass
# make bench  the figures of docs/performance.md
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(HOME)/.cargo/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(or $(TANDEM_TOOLS),$(HOME)/.cache/tandem-tools)
BROWSER := tests/e2e/browser

.PHONY: run demo test check web bench build

build:
	@.ci/install-packages run
	@cargo build --release --locked --bin tandem

run: build
	@$(TARGET)/release/tandem serve

demo: build
	@$(TARGET)/release/tandem demo --record out/demo.wav

# One profile serves clippy, unit tests and end-to-end tests.
test:
	@.ci/install-packages run test
	@.ci/install-tools
	@cd $(BROWSER) && npm ci --silent --no-fund --no-audit
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@$(TOOLS)/bin/cargo-deny --log-level error check licenses bans sources
	@$(TOOLS)/bin/cargo-machete --skip-target-dir
	@cargo build --workspace --bins --locked
	@cargo test --workspace --locked --no-fail-fast -- --show-output

# The landing page's committed assets, from its sources.
web:
	@cd web/landing && npm ci --silent --no-fund --no-audit && npm run build

bench: build
	@cargo build --release --locked --bin tandem-load --examples
	@$(TARGET)/release/tandem-load bench --out docs/performance.md
