# SPDX-License-Identifier: MIT
#
# The front door: each target is a few calls of the tools that do the work (meson, image/, tests/run, the hsavisor command).
# All of them may be called again at any time; they do only what is missing.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
BUILD := build
PREFIX ?= /usr/local
CACHE := $(or $(HSAVISOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hsavisor)
SAY = printf '[%ds] %s\n' $$(($$(date +%s) - $$HSAVISOR_T0))

# Progress lines of all tools count from here.
ifndef HSAVISOR_T0
export HSAVISOR_T0 := $(shell date +%s)
endif

.PHONY: help
help: ## list these targets
	@echo "make TARGET, where TARGET is:"
	@sed -n 's/^\([a-z-][a-z%-]*\):.*## \(.*\)/  \1~\2/p' Makefile | column -t -s '~'

.PHONY: setup
setup: ## install the Debian packages that building and testing need
	@image/setup

$(BUILD)/build.ninja: | setup
	@$(SAY) "configuring"
	@meson setup $(BUILD) --prefix=$(PREFIX) $$([ ! -d "$(CACHE)/uapi" ] || echo "-Duapi=$(CACHE)/uapi") >$(BUILD).log 2>&1 || \
		{ cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

.PHONY: build
build: setup $(BUILD)/build.ninja ## compile everything that runs on the host
	@packaging/compile $(BUILD)

.PHONY: image
image: setup ## make the guest image, and fetch a QEMU with vfio-user if the host has none
	@image/make

# Both at the same time: what is made for guests waits for the network a lot.
.PHONY: both
both:
	@$(MAKE) -j2 build image

.PHONY: demo
demo: both ## two VMs and a host process share the GPU: everything, from nothing
	@$(SAY) "starting the demo"
	@$(BUILD)/hsavisor demo

.PHONY: check
check: both ## run every test; SUITE=name runs one suite
	@tests/run $(SUITE)

.PHONY: check-long
check-long: both ## every test, and those that take long: more samples, Debian's ROCm libraries (fetches 1 GB)
	@tests/run --long

.PHONY: soak
soak: both ## GPU programs in two VMs and on the host, killed at random for SOAK_SECONDS=600; right, and nothing leaked? (ARGS="--seed 7")
	@tests/soak/run --seconds $(or $(SOAK_SECONDS),600) $(ARGS)

.PHONY: fuzz
fuzz: setup $(BUILD)/build.ninja ## feed made-up input to all that takes it from tenants; FUZZ_SECONDS=60 of each fuzzer
	@fuzz/run --seconds $(or $(FUZZ_SECONDS),60) $(FUZZER)

.PHONY: check-libraries
check-libraries: both ## run Debian's ROCm libraries on both software GPUs, results checked (fetches 1 GB)
	@tests/libraries/check

.PHONY: coverage
coverage: both ## is there an instruction in Debian's ROCm packages that the GPU can't do? (fetches 1.5 GB)
	@tests/exec/coverage

.PHONY: bench-gpu
bench-gpu: both ## the software GPU beside PoCL (ARGS="--json --check")
	@bench/gpu/run $(ARGS)

bench-%: both ## run a benchmark: bench-dispatch, bench-sharing, bench-svm (ARGS="--json --check")
	@bench/$* $(ARGS)

.PHONY: install
install: build ## install below PREFIX (default /usr/local)
	@$(SAY) "installing below $(DESTDIR)$(PREFIX)"
	@meson setup --reconfigure $(BUILD) --prefix=$(PREFIX) >$(BUILD)/setup.log 2>&1 || { cat $(BUILD)/setup.log; exit 1; }
	@packaging/compile $(BUILD)
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
	@packaging/install "$(if $(DESTDIR),$(abspath $(DESTDIR)))" "$(PREFIX)"

.PHONY: clean
clean: ## remove what was compiled
	@rm -rf $(BUILD) $(BUILD).log

.PHONY: distclean
distclean: clean ## remove the guest image, the QEMU and the trees too
	@image/clean
