# The one entrance. `just` lists.
default:
    @just --list

# Formatting, lints, docs, layers
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
    scripts/check-layers
    scripts/check-threats

# All tests, as README says
test:
    cargo test --workspace

# The main job, with a report to look at
demo:
    cargo run --release -- demo

# Everything that CI runs
pre-pr:
    .ci/run
