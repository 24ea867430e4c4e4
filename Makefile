# What developers use. Needs Rust, make, a C linker and, for the tests, Debian.

PREFIX = /usr
DESTDIR =

TARGET = $(or $(CARGO_TARGET_DIR),target)
UNITS = systemd/exp-rkt-grpc.service systemd/exp-rkt-grpc.socket
SCRIPTS = .ci/run benches/setup tests/setup
FUZZ_SECONDS = 60
# Ten times what `systemd-analyze security` may say of the service.
EXPOSURE = 9

.PHONY: help demo test lint install bench fuzz clean
help: ## list what can be made
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## see it work: a stand-in store, a query, its metrics and its trace
	@cargo build --quiet --locked --bins
	@cargo run --quiet --locked --example demo

test: setup ## run every test (root installs missing Debian packages)
	cargo test --workspace --locked

lint: fmt clippy doc scripts units ## hold sources, documentation, scripts and units to their rules

install: ## build and install the program and its units (DESTDIR, PREFIX=/usr)
	cargo build --release --locked
	install -D -m 755 $(TARGET)/release/exp-rkt-grpc $(DESTDIR)$(PREFIX)/bin/exp-rkt-grpc
	$(call place_units,$(PREFIX)/bin/exp-rkt-grpc,$(DESTDIR)$(PREFIX)/lib/systemd/system)

bench: ## measure, beside other clients and node_exporter: see benches/README.md
	@benches/setup $(TARGET)
	cargo build --release --locked
	cargo bench --package benches --locked --bench scanner
	cargo bench --package benches --locked --bench service

fuzz: ## try hostile bytes on the reader of answers, for FUZZ_SECONDS=60
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@command -v c++ >/dev/null || { echo 'This needs a C++ compiler: apt-get install g++' >&2; exit 1; }
	@install -d $(TARGET)/fuzz/corpus $(TARGET)/fuzz/artifacts
	cargo fuzz run scan --sanitizer none --target-dir $(abspath $(TARGET))/fuzz \
		$(abspath $(TARGET))/fuzz/corpus $(abspath fuzz/corpus/scan) -- -max_total_time=$(FUZZ_SECONDS) \
		-artifact_prefix=$(abspath $(TARGET))/fuzz/artifacts/ -print_final_stats=1

clean: ## remove what was built
	cargo clean

.PHONY: setup fmt clippy doc scripts units
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

scripts: setup
	shellcheck $(SCRIPTS)

# Verified with a program that every machine has, so that nothing has to be installed. systemd-analyze succeeds in spite
# of what it warns of: whatever it says of our units is a failure.
units: setup
	@$(call place_units,/bin/true,$(TARGET)/units)
	systemd-analyze verify --man=no $(TARGET)/units/* >$(TARGET)/units.log 2>&1 \
		&& ! grep -q exp-rkt-grpc $(TARGET)/units.log || { cat $(TARGET)/units.log; exit 1; }
	systemd-analyze security --offline=yes --no-pager --threshold=$(EXPOSURE) $(TARGET)/units/exp-rkt-grpc.service \
		>$(TARGET)/units.log || { cat $(TARGET)/units.log; exit 1; }

# $(call place_units,PROGRAM,FOLDER): the units, made to start PROGRAM.
define place_units
install -d $(2) && for unit in $(UNITS); do \
	sed 's|/usr/bin/exp-rkt-grpc|$(1)|' $$unit >$(2)/$${unit##*/} && chmod 644 $(2)/$${unit##*/} || exit 1; \
done
endef

# $(call component,COMMAND,COMPONENT): fails with advice where the toolchain has no `cargo COMMAND`.
component = cargo $(1) --version >/dev/null 2>&1 || { echo 'This needs $(2): rustup component add $(2)' >&2; exit 1; }
