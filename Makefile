# Bulkhead. `make run` and `make test` install what they need themselves.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/x86_64-unknown-linux-gnu/release
PRODUCT := --workspace --bins --exclude bulkhead-tests --exclude test-client --exclude bulkhead-bench
PREFIX ?= /usr/local
export CARGO_TERM_PROGRESS_WHEN ?= never
# Tests that lack what they need (root) write a line here.
export BULKHEAD_NOT_RUN := $(abspath $(TARGET_DIR))/not-run.txt

BIN := $(DESTDIR)$(PREFIX)/bin
LIBEXEC := $(DESTDIR)$(PREFIX)/libexec/bulkhead
MAN := $(DESTDIR)$(PREFIX)/share/man/man1
BASH_COMPLETIONS := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

.PHONY: help run build test lint bench fuzz vm install uninstall clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

run: ## Start a session with an xterm on 127.0.0.1, with a new password; prints how to attach.
	tests/tools/install-packages run
	cargo build --locked --release $(PRODUCT)
	tests/tools/run-session $(RELEASE)

build: ## Build everything, optimised.
	cargo build --locked --release $(PRODUCT)
	cargo dynamic --release

lint: ## Formatting, warnings, licences and banned crates.
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets --features bulkhead-auth-pam/libpam,bulkhead-auth-kerberos/libkrb5 -- -D warnings
	tests/tools/check-dependencies

test: ## Install what the tests need and run all of them; says at the end which could not run here.
	tests/tools/install-packages test
	tests/tools/install-stock-client >/dev/null
	tests/tools/install-cfb-client >/dev/null
	tests/tools/install-oidc-provider >/dev/null
	$(MAKE) lint
	cargo build --locked --workspace --bins
	cargo dynamic
	rm -f $(BULKHEAD_NOT_RUN)
	cargo test --locked --workspace --no-fail-fast
	tests/tools/fuzz 10
	@tests/tools/not-run $(BULKHEAD_NOT_RUN)

bench: ## Measure side by side with the stock server; writes docs/performance.md's table.
	tests/tools/install-packages test
	tests/tools/install-stock-client >/dev/null
	cargo build --locked --release --workspace --bins
	cargo dynamic --release
	tests/tools/bench $(RELEASE)

fuzz: ## Fuzz every decoder, FUZZ_SECONDS each (default 300).
	tests/tools/fuzz $(or $(FUZZ_SECONDS),300)

vm: ## Sessions on Debian 12's own kernel, with SELinux and systemd, in a virtual machine; as root.
	tests/tools/install-packages vm
	tests/vm/run

install: build ## Install under PREFIX (default /usr/local), with man pages and completions.
	install -d $(BIN) $(LIBEXEC) $(MAN) $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS)
	install -m 0755 $(RELEASE)/bulkhead $(BIN)/bulkhead
	for role in supervisor launcher network auth auth-ldap auth-pam auth-sqlite auth-sql auth-fido auth-keycloak auth-otpscreen auth-names auth-kerberos auth-certificate keys display encoder ctl; do \
	  install -m 0711 $(RELEASE)/bulkhead-$$role $(LIBEXEC)/ || exit 1; done
	umask 022 && $(RELEASE)/bulkhead generate man $(MAN)
	umask 022 && $(RELEASE)/bulkhead generate completions bash > $(BASH_COMPLETIONS)/bulkhead
	umask 022 && $(RELEASE)/bulkhead generate completions zsh > $(ZSH_COMPLETIONS)/_bulkhead
	umask 022 && $(RELEASE)/bulkhead generate completions fish > $(FISH_COMPLETIONS)/bulkhead.fish

uninstall: ## Remove what `make install` has installed under PREFIX.
	rm -f $(BIN)/bulkhead $(MAN)/bulkhead.1 $(MAN)/bulkhead-*.1 $(BASH_COMPLETIONS)/bulkhead \
	  $(ZSH_COMPLETIONS)/_bulkhead $(FISH_COMPLETIONS)/bulkhead.fish
	rm -rf $(LIBEXEC)

clean: ## Remove what was built.
	cargo clean
