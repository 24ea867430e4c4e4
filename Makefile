# For developers. Needs Rust, make, a C linker and, for the tests, Debian.

PREFIX = /usr
DESTDIR =

TARGET = $(or $(CARGO_TARGET_DIR),target)
UNITS = $(wildcard systemd/exp-rkt-grpc*) packaging/exp-rkt-grpc-trace.socket
SCRIPTS = .ci/run benches/setup tests/advisories tests/setup tests/lab/debian tests/lab/released tests/lab/sdbox tests/peers/build tests/reproducible packaging/build-deb packaging/build-rpm packaging/crates packaging/date packaging/files packaging/notices packaging/sbom $(wildcard packaging/debian/*.p*rm packaging/debian/*.postinst)

# The installed program is linked statically, because it runs in an empty root directory. It uses musl, because glibc would load
# the host's NSS modules, which may be from another release. It contains no paths of the build machine. For another processor:
# make HOST=aarch64-unknown-linux-musl
HOST := $(shell rustc -vV | sed -n '/^host: /{s///;s/-gnu/-musl/;p}')
PROGRAM = $(TARGET)/$(HOST)/release/exp-rkt-grpc
CARGO_FOLDER = $(or $(CARGO_HOME),$(HOME)/.cargo)
RELEASE_FLAGS = -C target-feature=+crt-static -C linker=rust-lld \
	$(foreach folder,$(wildcard $(CARGO_FOLDER)/registry/src/*),--remap-path-prefix=$(folder)=/cargo) \
	--remap-path-prefix=$(CURDIR)=/exp-rkt-grpc --remap-path-prefix=$(abspath $(TARGET))=/exp-rkt-grpc/target

# Packages, and the file tree that they contain. REVISION numbers the packages of one version. Each HOST has its own tree, so that
# packages for two of them can be built at the same time.
PACKAGES = $(abspath $(TARGET))/packages
TREE = $(PACKAGES)/tree-$(HOST)
VERSION = $(shell cargo pkgid --locked | sed 's/.*[#@]//')
REVISION = 1

# Debian's name of the processor; RPM uses Rust's. The tests run packages for both processors.
PROCESSOR = $(firstword $(subst -, ,$(HOST)))
DEBIAN_x86_64 = amd64
DEBIAN_aarch64 = arm64
ARM64 = aarch64-unknown-linux-musl

TOOLS = $(abspath $(TARGET))/tools
CARGO_DENY = $(TOOLS)/cargo-deny@0.20.2/bin
CARGO_AUDITABLE = $(TOOLS)/cargo-auditable@0.7.7/bin

SKIPPED = $(abspath $(TARGET))/skipped-tests
FUZZ_SECONDS = 60

.PHONY: help demo test lint install uninstall reproducible bench fuzz clean
help: ## list the targets
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## see it work: a stand-in store, a query, its metrics and its trace (JAEGER=1: with a real Jaeger)
	@cargo build --locked --bins --example demo
	@cargo run --quiet --locked --example demo -- $(if $(JAEGER),--jaeger)

# The property tests have a fixed seed here. Plain `cargo test` uses new inputs in each run.
test: setup ## run every test (root installs missing Debian packages)
	@$(MAKE) supplies & supplies=$$!; trap 'kill $$supplies' INT TERM; built=0; $(MAKE) packages reproducible || built=$$?; wait $$supplies && exit $$built
	@rm -f $(SKIPPED)
	SUITE=bookworm PROPTEST_RNG_SEED=20261125 SKIPPED_TESTS=$(SKIPPED) cargo test --workspace --locked
	SUITE=trixie SKIPPED_TESTS=$(SKIPPED) cargo test --workspace --locked --test booted
	@if [ -e $(SKIPPED) ]; then echo "*** Skipped tests: $$(wc -l <$(SKIPPED))"; cat $(SKIPPED); fi

lint: fmt clippy doc deny scripts units ## check sources, dependencies, documentation, scripts and units

install: release manual ## build and install the program, its units and its documentation (DESTDIR, PREFIX=/usr)
	packaging/notices $(HOST) >$(TARGET)/$(HOST)/notices
	packaging/sbom $(HOST) $(VERSION) >$(TARGET)/$(HOST)/sbom
	$(FILES) install $(PROGRAM) $(MANUAL) $(TARGET)/$(HOST)/notices $(TARGET)/$(HOST)/sbom

uninstall: ## remove what was installed, except changed settings; stop the units first (DESTDIR, PREFIX=/usr)
	$(FILES) uninstall

deb: processor tree ## build a Debian package (REVISION=1; for arm64: HOST=aarch64-unknown-linux-musl)
	@packaging/build-deb $(TREE) $(PACKAGES) $(VERSION) $(REVISION) $(DEBIAN_$(PROCESSOR))

rpm: processor tree ## build an RPM package (REVISION=1; HOST as for deb)
	@packaging/build-rpm $(TREE) $(PACKAGES) $(VERSION) $(REVISION) $(PROCESSOR)

reproducible: deb rpm ## build the packages again, in another folder, and compare them byte for byte
	@tests/reproducible $(VERSION) $(PACKAGES)

bench: release ## compare the service with other clients and node_exporter: see benches/README.md
	@benches/setup $(TARGET)
	cargo bench --locked --package benches --bench scanner
	cargo bench --locked --package benches --bench service -- $(abspath $(PROGRAM)) $(abspath $(TARGET))/python/bin/python

fuzz: ## fuzz the parser of store responses for FUZZ_SECONDS=60
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@command -v c++ >/dev/null || { echo 'This needs a C++ compiler: apt-get install g++' >&2; exit 1; }
	@install -d $(TARGET)/fuzz/corpus $(TARGET)/fuzz/artifacts
	cargo fuzz run scan --fuzz-dir crates/scan/fuzz --sanitizer none --target-dir $(abspath $(TARGET))/fuzz \
		$(abspath $(TARGET))/fuzz/corpus $(abspath crates/scan/fuzz/corpus/scan) -- -max_total_time=$(FUZZ_SECONDS) \
		-artifact_prefix=$(abspath $(TARGET))/fuzz/artifacts/ -print_final_stats=1

clean: ## remove all build output
	cargo clean

.PHONY: deb rpm packages supplies processor release manual tree fetch toolchain setup fmt clippy doc deny scripts units

FILES = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' packaging/files
MANUAL = $(TARGET)/$(HOST)/manual

# RELEASE_FLAGS looks up the folder of the dependencies' sources, so they must be downloaded first.
fetch:
	@cargo fetch --quiet --locked

# Rust's standard library for a musl target includes musl.
toolchain:
	@case $(HOST) in *-musl*) ;; *) echo 'HOST=$(HOST) is not a target with musl, such as x86_64-unknown-linux-musl' >&2; exit 1 ;; esac
	@test -d "$$(rustc --print target-libdir --target $(HOST))" || rustup target add $(HOST) || \
		{ echo 'This needs the standard library of Rust for $(HOST): rustup target add $(HOST)' >&2; exit 1; }

processor:
	@test -n '$(DEBIAN_$(PROCESSOR))' || \
		{ echo 'HOST=$(HOST): packages can be built for x86_64 and aarch64 only, not for $(PROCESSOR)' >&2; exit 1; }

# cargo-auditable adds a list of the crates to the program, less than 3 kB, which scanners for vulnerabilities read.
release: fetch toolchain $(CARGO_AUDITABLE)
	$(AUDITABLE) RUSTFLAGS='$(RELEASE_FLAGS)' cargo build --release --locked --bins --target $(HOST)

# What `cargo auditable` does, but with the tool's name instead of its path: Cargo derives the names of symbols from this variable, so
# the program would depend on the folder of the tool.
AUDITABLE = PATH="$(CARGO_AUDITABLE):$$PATH" RUSTC_WORKSPACE_WRAPPER=cargo-auditable \
	CARGO_AUDITABLE_ORIG_ARGS='{"offline":false,"locked":true,"frozen":false,"config":[]}'

# Built with the whole workspace, like the tests. Building this package alone would select other features and compile every crate
# again.
manual:
	@cargo build --quiet --locked --workspace --bins
	@$(TARGET)/debug/manual $(MANUAL)

# Also the packages for arm64, and the released one that the tests upgrade from, if its sources are in this repository's history. Without
# Rust's standard library for arm64, tests are skipped, which fails CI unless Rust's server cannot be reached.
packages: deb rpm
ifneq ($(HOST),$(ARM64))
	@if $(MAKE) toolchain HOST=$(ARM64); then $(MAKE) deb rpm HOST=$(ARM64); fi
endif
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) tests/lab/released >/dev/null || test $$? = 3

# The roots of Debian and the peers of the tests, made at the same time as the packages, because both take minutes. If one is missing, its
# tests are skipped, which fails CI unless the Debian mirror or the Go module proxy cannot be reached.
supplies: setup
	@for suite in bookworm trixie; do \
		CARGO_TARGET_DIR=$(abspath $(TARGET)) tests/lab/debian $$suite >/dev/null || :; \
	done
	@for peer in jaeger containerd crictl prometheus prometheus-client page-checks sbom-schema; do \
		CARGO_TARGET_DIR=$(abspath $(TARGET)) tests/peers/build $$peer >/dev/null || :; \
	done

# Built in the dev profile: the tools run for a second, so an optimized build is not worth its time. If two makes need the same tool, the
# second one waits, and finds it installed.
$(TOOLS)/%/bin:
	@mkdir -p $(TOOLS)
	CARGO_PROFILE_DEV_DEBUG=0 flock $(TOOLS) sh -c 'cargo install --quiet --locked --debug --root $(TOOLS)/$* --target-dir $(TOOLS)/build $* && rm -rf $(TOOLS)/build'

tree: release manual
	@rm -rf $(TREE)
	@$(MAKE) --silent --old-file=release --old-file=manual install DESTDIR=$(TREE) PREFIX=/usr

setup:
	@tests/setup

fmt:
	@$(call component,fmt,rustfmt)
	cargo fmt --all --check

clippy:
	@$(call component,clippy,clippy)
	cargo clippy --workspace --all-targets --locked -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

# These checks of cargo-deny need no network: `fetch` has downloaded everything in Cargo.lock.
deny: fetch $(CARGO_DENY)
	$(CARGO_DENY)/cargo-deny --workspace --frozen check --deny unmatched-skip --deny unnecessary-skip bans licenses sources
	@tests/advisories $(CARGO_DENY)/cargo-deny

scripts: setup
	shellcheck $(SCRIPTS)
	shellcheck --shell sh packaging/rpm/*.sh

# The units are verified with /bin/true as their program, so that nothing has to be installed. systemd-analyze exits with 0 even
# if it prints warnings, so any output about our units is a failure. tests/booted/units.rs verifies the installed ones, with each
# combination of drop-ins, and rates their sandboxes.
units: setup
	@rm -rf $(CHECKED)
	@install -D -m 644 -t $(CHECKED) $(UNITS) systemd/examples/*.path
	@sed -i 's|/usr/bin/exp-rkt-grpc|/bin/true|g' $(CHECKED)/*
	systemd-analyze verify --man=no $(CHECKED)/* >$(CHECKED).log 2>&1 \
		&& ! grep -q exp-rkt-grpc $(CHECKED).log || { cat $(CHECKED).log; exit 1; }

CHECKED = $(TARGET)/units

# $(call component,COMMAND,COMPONENT): fails with advice if the toolchain has no `cargo COMMAND`.
component = cargo $(1) --version >/dev/null 2>&1 || { echo 'This needs $(2): rustup component add $(2)' >&2; exit 1; }
