# The few commands that a newcomer needs. What they do is written in xtask/, in Rust;
# this file only finds the tools that xtask itself is built with.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# --locked: what is tested is what Cargo.lock says, or the gate stays shut.
XTASK := cargo run --locked --quiet --package xtask --

.PHONY: help ui demo test fmt bench torture setup toolchain

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: toolchain ## a good version goes to 100 %, a bad one comes back by itself
	@$(XTASK) demo

ui: toolchain ## builds the dashboard; the next build puts it into the program
	@$(XTASK) ui

test: setup ## the gate: everything that must hold before a change goes in
	@$(XTASK) ci

fmt: toolchain ## formats all Rust files
	@cargo fmt --all

bench: toolchain ## what flags, their server and the judge cost, beside peers in the same run
	@cargo run --locked --quiet --release --package esclusa-flags-bench
	@cargo run --locked --quiet --release --package esclusa-ofrep-bench
	@cargo run --locked --quiet --release --package esclusa-judge-bench -- cost

torture: toolchain ## 200 releases while everything is killed; TORTURE="--releases 20" for fewer
	@$(XTASK) torture $(TORTURE)

setup: toolchain ## checks tools, installs system packages that are missing
	@$(XTASK) setup

toolchain:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with https://rustup.rs; rust-toolchain.toml picks the version" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "no C compiler: on Debian, apt-get install build-essential" >&2; exit 1; }
