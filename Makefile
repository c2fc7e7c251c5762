.PHONY: test bench fmt run deps

# Everything that must hold before a change lands.
test: deps
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo clippy -p prom-parse --no-default-features --features serde -- -D warnings
	if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace --all-features --run-ignored all --no-tests pass; \
	else cargo test --workspace --all-features --lib --bins --tests --examples -- --include-ignored; fi
	cargo test --workspace --all-features --doc
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# What the ignored tests talk to, installed where it is missing.
deps:
	./.ci/install-deps

bench:
	cargo bench -p benches

fmt:
	cargo fmt --all

run:
	cargo run --release --example quickstart
