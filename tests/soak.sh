#!/usr/bin/env bash
# What takes too long for every change: many more random cases and simulated clusters, then fuzzing.
#   tests/soak.sh [SECONDS of fuzzing per target, 300 unless told]
# PROPTEST_CASES sets the number of random cases per property (20,000 unless told),
# FANFARE_CLUSTER_SEEDS that of simulated clusters (50,000 unless told).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-300}"

echo "== properties, ${PROPTEST_CASES:=20000} cases each"
export PROPTEST_CASES FANFARE_CLUSTER_SEEDS="${FANFARE_CLUSTER_SEEDS:-50000}"
cargo test --locked

targets=(fuzz/fuzz_targets/*.rs)
if [ ! -e "${targets[0]}" ]; then
    echo "== no fuzz targets"
    exit 0
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing, so nothing was fuzzed: rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    exit 1
fi
for target in "${targets[@]}"; do
    name="$(basename "$target" .rs)"
    echo "== fuzzing $name for $seconds s"
    cargo +nightly fuzz run "$name" -- -max_total_time="$seconds"
done
