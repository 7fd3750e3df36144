#!/usr/bin/env bash
# Everything that has to hold, from a fresh Debian machine with cargo: installs what is missing,
# then format, lints and all tests. Stops at the first step that fails and names it.
set -euo pipefail
cd "$(dirname "$0")/.."

current="start"
step() {
    current="$1"
    printf '\n== %s\n' "$current"
}
trap 'status=$?; [ "$status" -eq 0 ] || printf "\n== FAILED (exit %s): %s\n" "$status" "$current" >&2' EXIT

# need COMMAND PACKAGE: notes the Debian package of a command that is not there.
missing=()
need() {
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

# Runs a command as root, asking nobody for a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -n "$@"
    else
        echo "run as root: $*" >&2
        return 1
    fi
}

# need_cargo SUBCOMMAND COMPONENT PACKAGE: from rustup where that manages the toolchain, else apt.
need_cargo() {
    cargo "$1" --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null 2>&1; then
        rustup component add "$2"
    else
        missing+=("$3")
    fi
}

step "tools"
command -v cargo >/dev/null 2>&1 || {
    echo "cargo is missing: apt-get install cargo, or see rust-lang.org" >&2
    exit 1
}
need cc gcc # SQLite and jemalloc are compiled in.
need make make
need go golang-go # Reads our profiles, as an operator would.
need python3 python3 # Verifies a rain, as a stranger would.
# Real servers for the cluster's tests; the MongoDB-wire one is a Java library.
need redis-server redis-server
need openssl openssl
need systemd-analyze systemd # Reads the unit.
need ip iproute2 # A host that vanishes, in a network namespace.
need chromium chromium # The live page, as people see it.
need chromedriver chromium-driver
need javac default-jdk-headless
need mvn maven
# What the README's commands and the check of the calls use.
need curl curl
need jq jq
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
need_cargo fmt rustfmt rustfmt
need_cargo clippy clippy rust-clippy
if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi
cargo --version

step "format"
cargo fmt --check

step "lints"
cargo clippy --all-targets --locked -- -D warnings

step "lints without the cluster"
cargo clippy --all-targets --locked --no-default-features -- -D warnings
# What the tests need turns on features of packages that the program may lack.
cargo clippy --locked --no-default-features -- -D warnings

step "the tests' MongoDB-wire server"
tests/mongo/build.sh

step "tests"
cargo test --locked

step "the calls against their description"
tests/schemathesis.sh 20

step "all passed"
