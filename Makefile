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
# Far more than the tests take: what is beyond it hangs.
TEST_LIMIT := 45m

.PHONY: run demo test check web bench build

build:
	@.ci/install-packages run
	@cargo build --release --locked --bin tandem

run: build
	@$(TARGET)/release/tandem serve

demo: build
	@mkdir -p out
	@$(TARGET)/release/tandem demo --record out/demo.wav

# One profile serves clippy, unit tests and end-to-end tests.
test:
	@.ci/install-packages run test
	@.ci/install-tools
	@cd $(BROWSER) && npm ci --silent --no-fund --no-audit
	@cd web/landing && npm ci --silent --no-fund --no-audit && npm run --silent check && npm test --silent && npm run --silent build
	@git diff --exit-code --stat -- web/landing/dist || { echo "web/landing/dist is stale: commit what make web builds"; exit 1; }
	@.ci/third-party --check
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@$(TOOLS)/bin/cargo-deny --log-level error check licenses bans sources
	@$(TOOLS)/bin/cargo-machete --skip-target-dir
	@cargo build --workspace --bins --tests --locked
	@.ci/within $(TEST_LIMIT) cargo test --workspace --locked --no-fail-fast -- --show-output

# The landing page's committed assets, from its sources.
web:
	@cd web/landing && npm ci --silent --no-fund --no-audit && npm run build

bench: build
	@cargo build --release --locked --bin tandem-load
	@cargo build --release --locked -p tandem-media --example echo_bench
	@$(TARGET)/release/tandem-load bench --out docs/performance.md
