#!/usr/bin/env bash
# What takes too long for every change: many rounds of crashes, many more random cases and simulated
# clusters, fuzzing.
#   tests/soak.sh [SECONDS of fuzzing per target, 300 unless told]
# CRASH_ROUNDS sets the number of kills and of power cuts (100 unless told), PROPTEST_CASES the
# number of random cases per property (20,000 unless told), FANFARE_CLUSTER_SEEDS that of simulated
# clusters (50,000 unless told) and FANFARE_RAIN_SEEDS that of their rains (12,000 unless told),
# PROFILE_SECONDS how long to profile under load (600 unless told; it takes twice as long, since every
# load is repeated without), CALL_EXAMPLES that of random requests per call (1,000 unless told),
# FANFARE_CLUSTER_ROUNDS how often everything happens to the processes of a real cluster (5 unless
# told), FANFARE_INCREMENTS how many increments kills fall into (a million unless told; a tenth of it in
# a cluster), FANFARE_CROWDS how many crowds of 250 come to the trading room and go (200 unless told),
# FANFARE_SLOW_READER_SECONDS for how long a thousand pushes a second go to readers of a kilobyte a
# second (300 unless told).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-300}"

echo "== crashes, ${CRASH_ROUNDS:=100} rounds each"
export CRASH_ROUNDS
cargo test --locked --test it -- crashes

echo "== profiles under full load, ${PROFILE_SECONDS:=600} s"
FANFARE_BENCH_SECONDS=30 FANFARE_BENCH_ROUNDS=$(((PROFILE_SECONDS + 29) / 30)) ./bench.sh profiling

echo "== the calls against their description, ${CALL_EXAMPLES:=1000} examples each"
tests/schemathesis.sh "$CALL_EXAMPLES"

echo "== clusters whose servers and networks fail, ${FANFARE_CLUSTER_ROUNDS:=5} rounds each"
export FANFARE_CLUSTER_ROUNDS
# Of gifts and of rains, with 20,000 users. One after the other: they are long, and have deadlines.
cargo test --locked --test it -- cluster_process --nocapture --test-threads 1
# Once is enough.
unset FANFARE_CLUSTER_ROUNDS

echo "== kills in the middle of ${FANFARE_INCREMENTS:=1000000} increments, alone and in a cluster"
export FANFARE_INCREMENTS
cargo test --locked --test it -- counter_process::kill_9 cluster_counters::of_one_counter --nocapture
unset FANFARE_INCREMENTS

echo "== the trading room: ${FANFARE_CROWDS:=200} crowds, ${FANFARE_SLOW_READER_SECONDS:=300} s of slow readers"
export FANFARE_CROWDS FANFARE_SLOW_READER_SECONDS
cargo test --locked --test it -- trade_robust --nocapture
unset FANFARE_CROWDS FANFARE_SLOW_READER_SECONDS

echo "== properties, ${PROPTEST_CASES:=20000} cases each"
export PROPTEST_CASES FANFARE_CLUSTER_SEEDS="${FANFARE_CLUSTER_SEEDS:-50000}"
export FANFARE_RAIN_SEEDS="${FANFARE_RAIN_SEEDS:-12000}"
cargo test --locked

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing, so nothing was fuzzed: cargo install cargo-fuzz" >&2
    exit 1
fi
# The sanitizers are unstable options; this lets the installed compiler take them.
export RUSTC_BOOTSTRAP=1
for target in tests/fuzz/targets/*.rs; do
    name="$(basename "$target" .rs)"
    echo "== fuzzing $name for $seconds s"
    # New findings go beside the corpus, not into it: what is worth keeping is added by hand.
    mkdir -p "target/fuzz/$name"
    cargo fuzz run --fuzz-dir tests/fuzz "$name" "target/fuzz/$name" "tests/fuzz/corpus/$name" \
        -- -max_total_time="$seconds"
done
