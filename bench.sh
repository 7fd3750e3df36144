#!/usr/bin/env bash
# Measures the release binary on this machine: starts it on free loopback ports with data of its
# own, loads it, prints figures, and stops all that it started. See `./bench.sh help`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target="${CARGO_TARGET_DIR:-target}/release"
# For a build that exists already, or another server with the same ready line.
server_binary="${FANFARE_BENCH_SERVER:-$target/fanfare}"
tools="${FANFARE_BENCH_TOOLS:-$target/examples}"
seconds="${FANFARE_BENCH_SECONDS:-5}"
rounds="${FANFARE_BENCH_ROUNDS:-5}"
# What is measured and what loads it get a core each; an empty value leaves the choice to the system.
server_cores="${FANFARE_BENCH_SERVER_CORES-0}"
load_cores="${FANFARE_BENCH_LOAD_CORES-1}"
server_pin=() # the command that keeps a process there
load_pin=()
if command -v taskset >/dev/null && (($(nproc) > 1)); then
  [[ -z "$server_cores" ]] || server_pin=(taskset -c "$server_cores")
  [[ -z "$load_cores" ]] || load_pin=(taskset -c "$load_cores")
fi

work="$(mktemp -d)"
children=() # what this script started
pid=""  # of the server
http="" # its address

# What can be measured: name, then text. A scenario is a function of its name, in a file of its own
# in benches/scenarios/.
scenarios=()
scenario() { scenarios+=("$1" "$2"); }

usage() {
  printf 'usage: ./bench.sh [COMMAND]\n\n'
  local at
  for ((at = 0; at < ${#scenarios[@]}; at += 2)); do
    # Further lines of a text stand below its first.
    printf '  %-17s %s\n' "${scenarios[at]}" "${scenarios[at + 1]//$'\n'/$'\n'"                    "}"
  done
  cat <<'TEXT'
  figures           instructions, idle, syscalls, send, wide and mixed, with one table at the end
  help              this text

environment:
  FANFARE_BENCH_SECONDS   length of one timed load (5)
  FANFARE_BENCH_ROUNDS    interleaved rounds of which the median counts (5)
  FANFARE_BENCH_SERVER_CORES, FANFARE_BENCH_LOAD_CORES
                          cores of send, wide and mixed, as taskset takes them (0 and 1); empty: any
  FANFARE_BENCH_SERVER    measure this binary and build none
  FANFARE_BENCH_TOOLS     folder with the load and sqlite_floor programs; build none
TEXT
}

say() { printf '%s\n' "$*"; }

fail() {
  printf 'bench.sh: %s\n' "$*" >&2
  exit 1
}

# need TOOL PACKAGE
need() { command -v "$1" >/dev/null || fail "$1 is not installed (Debian: apt install $2)"; }

# Asks the shell and not the kernel: a number may belong to a stranger by now.
is_running() { [[ " $(jobs -rp | tr '\n' ' ') " == *" $1 "* ]]; }

# Ends a process that this script started: politely, then not.
stop() {
  local wait_until=$((SECONDS + 30)) # under valgrind the last checkpoint takes its time
  if is_running "$1"; then kill -TERM "$1" || true; fi
  while is_running "$1" && ((SECONDS < wait_until)); do sleep 0.05; done
  if is_running "$1"; then kill -KILL "$1" || true; fi
  wait "$1" 2>/dev/null || true
}

cleanup() {
  local status=$? child
  trap - EXIT INT TERM
  for child in "${children[@]}"; do stop "$child" 2>/dev/null; done
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for file in benches/lib/*.sh benches/scenarios/*.sh; do
  # shellcheck source=/dev/null
  source "$file"
done

figures() {
  local one
  for one in instructions idle syscalls send wide mixed; do
    say ""
    say "== $one"
    "$one"
  done
}

command="${1:-seeds}"
shift || true
case "$command" in
  help | --help | -h) usage ;;
  figures)
    figures
    table
    ;;
  *)
    known=" "
    for ((at = 0; at < ${#scenarios[@]}; at += 2)); do known+="${scenarios[at]} "; done
    if [[ "$known" != *" $command "* ]]; then
      usage >&2
      exit 2
    fi
    "$command" "$@"
    [[ ! -e "$work/rows" ]] || table
    ;;
esac
