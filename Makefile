# Bulkhead. `make run` and `make test` install what they need themselves.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/x86_64-unknown-linux-gnu/release
PRODUCT := --workspace --bins --exclude bulkhead-tests --exclude test-client --exclude bulkhead-bench
PREFIX ?= /usr/local
export CARGO_TERM_PROGRESS_WHEN ?= never

.PHONY: help run build test lint bench fuzz vm install clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

run: ## Start a session with an xterm on 127.0.0.1, with a new password; prints how to attach.
	tests/tools/install-packages run
	cargo build --locked --release $(PRODUCT)
	tests/tools/run-session $(RELEASE)

build: ## Build everything, optimised.
	cargo build --locked --release $(PRODUCT)

lint: ## Formatting, warnings, licences and banned crates.
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	tests/tools/check-dependencies

test: ## Install what the tests need and run all of them.
	tests/tools/install-packages test
	tests/tools/install-stock-client >/dev/null
	$(MAKE) lint
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --no-fail-fast
	tests/tools/fuzz 10

bench: ## Measure side by side with the stock server; writes docs/performance.md's table.
	tests/tools/install-packages test
	tests/tools/install-stock-client >/dev/null
	cargo build --locked --release --workspace --bins
	tests/tools/bench $(RELEASE)

fuzz: ## Fuzz every decoder, FUZZ_SECONDS each (default 300).
	tests/tools/fuzz $(or $(FUZZ_SECONDS),300)

vm: ## Sessions on Debian 12's own kernel, with SELinux and systemd, in a virtual machine; as root.
	tests/tools/install-packages vm
	tests/vm/run

install: build ## Install under PREFIX (default /usr/local).
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/bulkhead
	install -m 0755 $(RELEASE)/bulkhead $(DESTDIR)$(PREFIX)/bin/bulkhead
	for role in supervisor launcher network auth display encoder ctl; do \
	  install -m 0711 $(RELEASE)/bulkhead-$$role $(DESTDIR)$(PREFIX)/libexec/bulkhead/ || exit 1; done

clean: ## Remove what was built.
	cargo clean
