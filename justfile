# The one entrance. `just` lists; `scripts/step --list` lists what CI runs, step by step.
default:
    @just --list

# One step of CI: just step clippy
step name:
    scripts/step {{name}}

# Formatting, lints, docs, layers, words
check: (step "format") (step "clippy") (step "docs") (step "layers") (step "words") (step "threats")

# All tests, as README says
test: (step "tests")

# The main job, with a report to look at
demo:
    cargo run --release -- demo

# docs/openapi.json is written anew: only where the gateway's endpoints change
openapi:
    cargo test -p deepring-node --lib openapi_generate -- --ignored

# Test vectors are written anew: only where the format changes
vectors:
    cargo test -p deepring --test it vectors_generate -- --ignored
    cargo test -p deepring --test it vectors_records_generate -- --ignored
    cargo test -p deepring --test it vectors_weights_generate -- --ignored
    cargo test -p deepring-ledger --test it vectors_ledger_generate -- --ignored

# Fuzzes the decoders that are named, or all: just fuzz --seconds 60 deal
fuzz *args:
    scripts/fuzz {{args}}

# What protection costs, beside the plain network
bench *args:
    cargo run --release -- bench {{args}}

# Attacks held against every defence: just evaluate --model zoo/fashion-lenet5.onnx --data zoo/fashion-sample --suite paper -o report
evaluate *args:
    cargo run --release -- evaluate {{args}}

# What takes too long for every change
nightly:
    scripts/nightly

# Everything that CI runs
pre-pr:
    .ci/run
