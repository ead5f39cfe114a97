# Everything that is done with this repository by machine; CI runs these targets and no others.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run dist test test-unit test-doc check check-each audit sbom golden bench fuzz sql-injection doc clean-data

# Pinned tools live in .tools, a Python environment of this checkout; scripts/tools fills it.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# The tests that compare with golden files, docs/faults.md among them.
GOLDEN := package(tollgate-wire) | (package(tollgate) & test(/faults/))
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

run: ## Build, fetch the small model once, start on 127.0.0.1:8080
	@scripts/packages build
	@scripts/tools python
	@[ -x $(TARGET_DIR)/release/tollgate ] || echo "Building: about 10 minutes on two cores this first time, seconds afterwards."
	cargo build --release --locked --package tollgate
	@python3 scripts/fetch-model >/dev/null
	@exec $(TARGET_DIR)/release/tollgate quickstart $(ARGS)

dist: ## Build the binary for packages, shaped by a training run: target/dist/tollgate, 15 minutes on two cores
	@scripts/packages build
	scripts/dist

test: ## Run every test; installs PostgreSQL and Node.js where they are missing
	@scripts/packages build test
	@scripts/tools nextest node
	@python3 scripts/fetch-model >/dev/null
	cargo nextest run --workspace --locked
	cargo test --doc --workspace --locked --quiet

test-unit: ## Run the tests that need no database, no model and no SDK: seconds when warm
	@scripts/packages build
	@scripts/tools nextest
	cargo nextest run --workspace --locked --profile unit

check: ## Format, layers, licences, bans, unused dependencies, clippy, documentation
	cargo fmt --check
	scripts/check-layers
	scripts/check-docs
	scripts/check-asvs
	@mkdir -p $(TARGET_DIR)
	scripts/sbom $(TARGET_DIR)/tollgate.cdx.json
	@scripts/packages build
	@scripts/tools deny machete
	cargo deny --locked check bans licenses sources
	cargo machete
	@scripts/check-advisories
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

check-each: ## Build and test every crate alone, with and without its features
	@scripts/packages build test
	scripts/check-each

audit: ## Fetch the advisory database and check the dependencies against it
	@scripts/tools deny
	cargo deny --locked check advisories

sbom: ## Write a bill of materials (CycloneDX) to SBOM, or beside what is built
	scripts/sbom $(or $(SBOM),$(TARGET_DIR)/tollgate.cdx.json)

golden: ## Write the golden files anew from what the code says; review them with git diff
	@scripts/tools nextest
	INSTA_UPDATE=always INSTA_FORCE_PASS=1 cargo nextest run --workspace --locked -E '$(GOLDEN)'

bench: ## Print what the hot paths cost on this machine
	@scripts/packages build
	@scripts/tools python
	@python3 scripts/fetch-model >/dev/null
	scripts/bench

fuzz: ## Fuzz every parser of bytes from outside, FUZZ_SECONDS each (default 60)
	@scripts/packages build
	@scripts/tools fuzz
	scripts/fuzz $(or $(FUZZ_SECONDS),60) $(FUZZ_TARGETS)

sql-injection: ## Let sqlmap try every place of every route, on SQLite and PostgreSQL; about 10 minutes
	@scripts/packages build test
	@scripts/tools sqlmap
	cargo build --locked --package tollgate
	scripts/sql-injection $(TARGET_DIR)/debug/tollgate

doc: ## Build the crates' documentation and say where it is
	cargo doc --workspace --no-deps --locked
	@echo "$(CURDIR)/$(TARGET_DIR)/doc/tollgate_engine/index.html"

clean-data: ## Remove what `make run` keeps under data/: database, journal, keys, settings
	rm -rf data
