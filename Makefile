# Every target does the set-up that it needs by itself; a second run skips what is there.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test build check lint setup tools bundle e2e native wasm fuzz clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: build ## A real client pays through the Worker on a real local chain (ONCE=1: then stop)
	@node scripts/demo.mjs

test: setup ## All the tests: lints, native, wasm, and end to end in workerd on a local chain
	@scripts/test

build: tools ## The release bundle, where wrangler.toml's `main` points
	@scripts/build

check: ## Is wrangler.toml in order? Prints every mistake, or the route table (ARGS="path --env name")
	@scripts/setup native
	@scripts/check $(ARGS)

lint: ## rustfmt, clippy, doc warnings, shell and JavaScript syntax, cargo deny
	@scripts/setup lint
	@scripts/lint

native: ## The native tests alone: seconds
	@scripts/setup native
	@scripts/test native

wasm: tools ## The vectors, in wasm
	@scripts/test wasm

e2e: build ## The end-to-end tests alone (ARGS="tests/e2e/paid.test.mjs")
	@scripts/setup browser
	@scripts/test e2e $(ARGS)

bundle: build ## What a deployment would upload, and its size
	@scripts/bundle-size

tools: ## The part of setup that a build needs
	@scripts/setup build

setup: ## System packages, the wasm32 toolchain, the bundle tool, cargo-deny, npm packages, Chromium, the examples' Python and Rust
	@scripts/setup

fuzz: ## Everything that a stranger sends, through libFuzzer (needs a nightly toolchain; SECONDS_EACH=60)
	@scripts/fuzz

clean: ## Forget what was built here (the tools in the cache stay)
	@rm -rf target build .wrangler tests/e2e/.run
