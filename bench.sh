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
rounds="${FANFARE_BENCH_ROUNDS:-3}"

work="$(mktemp -d)"
children=() # what this script started
pid=""  # of the server
http="" # its address

usage() {
  cat <<'TEXT'
usage: ./bench.sh [COMMAND]

  seeds             the loads of the systems that Fanfare follows (the default): go-stress-testing
                    on /gift/top and /gift/add_test_data, wrk on /hello with a blocked terminal
  flame SCENARIO    flamegraphs/SCENARIO.svg; SCENARIO is top, send or hello
  instructions      user instructions per GET /gift/top, by callgrind
  idle              bytes of user memory per idle connection, over 10,000 of them
  syscalls          system calls per request at 100 connections, by name
  send              durable sends a second against bare SQLite and against plain Go with Redis
  mixed             nine reads and one send against reads alone
  help              this text

environment:
  FANFARE_BENCH_SECONDS   length of one timed load (5)
  FANFARE_BENCH_ROUNDS    rounds of which the median counts (3)
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

build() {
  if [[ -z "${FANFARE_BENCH_SERVER:-}" ]]; then
    cargo build --release --locked --bin fanfare
  fi
  if [[ -z "${FANFARE_BENCH_TOOLS:-}" ]]; then
    cargo build --release --locked --example load --example sqlite_floor
  fi
  [[ -x "$server_binary" ]] || fail "there is no $server_binary"
}

# The environment of every server: free ports, nothing shared with another one.
serve() {
  FANFARE__TLV__LISTEN=127.0.0.1:0 FANFARE__ADMIN__LISTEN=127.0.0.1:0 \
    exec "${prefix[@]}" "$server_binary" --listen 127.0.0.1:0 --data "$work/data" "$@"
}
prefix=() # a command to run the server under

# await_ready FILE PROCESS: sets http to the address in the ready line.
await_ready() {
  local file="$1" process="$2" wait_until=$((SECONDS + 60)) line
  while ((SECONDS < wait_until)); do
    if line="$(grep -m 1 ' ready http=' "$file")"; then
      http="${line#* http=}"
      http="${http%% *}"
      return
    fi
    if ! is_running "$process"; then
      cat "$work/err" >&2
      fail "the server ended before it was ready"
    fi
    sleep 0.05
  done
  fail "no ready line within 60 s"
}

# start [ARGUMENT…]: a server with empty data.
start() {
  rm -rf "$work/data"
  mkdir "$work/data"
  : >"$work/out"
  serve "$@" >"$work/out" 2>"$work/err" &
  pid=$!
  children+=("$pid")
  await_ready "$work/out" "$pid"
}

# Nobody reads what it prints, and the pipe is full before the load begins: a server that waits for
# its terminal stands still.
start_blocked() {
  local line wait_until=$((SECONDS + 60))
  rm -rf "$work/data"
  mkdir "$work/data"
  mkfifo "$work/terminal"
  exec 7<>"$work/terminal"
  serve >"$work/terminal" 2>&1 7>&- &
  pid=$!
  children+=("$pid")
  http=""
  while [[ -z "$http" ]]; do
    read -r -t "$((wait_until - SECONDS > 0 ? wait_until - SECONDS : 1))" line <&7 ||
      fail "no ready line within 60 s"
    if [[ "$line" == *" ready http="* ]]; then
      http="${line#* http=}"
      http="${http%% *}"
    fi
  done
  # Fills the pipe to the last byte, then would wait for ever.
  dd if=/dev/zero of="$work/terminal" bs=1 count=1048576 oflag=nonblock status=none \
    2>/dev/null || true
}

stop_server() {
  stop "$pid"
  pid=""
}

load() { timeout 300 "$tools/load" --addr "$http" "$@"; }

# Some gifts on the board, the same ones in every run.
seed_board() { load --connections 10 --requests 1000 --send-percent 100 >/dev/null; }

threads() { printf '%d' "$((($(nproc) + 1) / 2))"; }

# wrk_run CONNECTIONS ARGUMENT…: prints what wrk prints.
wrk_run() {
  local connections="$1"
  shift
  timeout "$((seconds + 60))" wrk -t "$(threads)" -c "$connections" -d "${seconds}s" --latency "$@"
}

# Picks a figure out of a report of wrk: rate, or the latency of a percentile.
wrk_rate() { awk '/^Requests\/sec:/ { print $2 }' "$1"; }
wrk_p99() { awk '$1 == "99%" { print $2 }' "$1"; }

# The answers that were no success, for the end of a line.
wrk_trouble() { awk '/Non-2xx|Socket errors/ { printf " (%s)", $0 }' "$1" | tr -s ' '; }

median() { sort -g | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "?" }'; }

# --- seeds -----------------------------------------------------------------------------------

# stress CONNECTIONS REQUESTS_EACH PATH
stress() {
  local connections="$1" each="$2" path="$3" keep manner
  for keep in -k ""; do
    manner="kept alive"
    [[ -n "$keep" ]] || manner="a new one for each request"
    say ""
    say "== $path, $connections connections, $manner"
    if command -v go-stress-testing >/dev/null; then
      # shellcheck disable=SC2086 # an empty option must vanish
      timeout 600 go-stress-testing -c "$connections" -n "$each" $keep -v json -code 0 \
        -u "http://$http$path" | tail -n 25
    elif [[ -n "$keep" ]]; then
      wrk_run "$connections" -s benches/check.lua "http://$http$path"
    else
      wrk_run "$connections" -s benches/check.lua -H 'Connection: close' "http://$http$path"
    fi
  done
}

seeds() {
  need wrk wrk
  build
  if ! command -v go-stress-testing >/dev/null; then
    say "go-stress-testing is not on the PATH: wrk with the same connections takes its place,"
    say "for $seconds s each instead of a number of requests"
  fi
  start --dev
  seed_board
  stress 100 10000 /gift/top
  stress 1000 1000 /gift/add_test_data
  stop_server
  say ""
  say "== /hello, 1000 connections, standard output blocked"
  start_blocked
  wrk_run 1000 --timeout 2 "http://$http/hello" | tee "$work/hello"
  # wrk counts a time-out when the late answer comes, so no answer at all is not one of them.
  awk '/ requests in / { answered = $1 } /Socket errors/ { late = $NF } END {
    printf "answered: %d, time-outs: %d\n", answered, late
    exit answered == 0
  }' "$work/hello" || fail "the server stood still behind its terminal"
  stop_server
}

# --- flame -----------------------------------------------------------------------------------

scenario_load() {
  case "$1" in
    top) wrk_run 100 "http://$http/gift/top" ;;
    send) wrk_run 100 -s benches/send.lua "http://$http" -- 100 ;;
    hello) wrk_run 100 "http://$http/hello" ;;
  esac
}

flame() {
  local scenario="${1:-}" svg recorder sampling="record -e cpu-clock -F 997 -g"
  case "$scenario" in
    top | send | hello) ;;
    *) fail "flame needs a scenario: top, send or hello" ;;
  esac
  need wrk wrk
  need perf linux-perf
  command -v flamegraph >/dev/null || command -v inferno-flamegraph >/dev/null ||
    fail "neither flamegraph nor inferno is installed: cargo install flamegraph (or inferno)"
  build
  mkdir -p flamegraphs
  svg="$PWD/flamegraphs/$scenario.svg"
  start
  seed_board
  # The recorder follows the process until it ends.
  if command -v flamegraph >/dev/null; then
    (cd "$work" && exec flamegraph -c "$sampling" --pid "$pid" --output "$svg") \
      >"$work/recorder" 2>&1 &
  else
    # shellcheck disable=SC2086 # several words
    perf $sampling -o "$work/perf.data" -p "$pid" >"$work/recorder" 2>&1 &
  fi
  recorder=$!
  children+=("$recorder")
  scenario_load "$scenario"
  stop_server
  wait "$recorder" || { cat "$work/recorder" >&2; fail "the recording failed"; }
  if ! command -v flamegraph >/dev/null; then
    perf script -i "$work/perf.data" 2>/dev/null | inferno-collapse-perf 2>/dev/null |
      inferno-flamegraph --title "fanfare: $scenario" >"$svg"
  fi
  say "written: flamegraphs/$scenario.svg"
}

# --- instructions ----------------------------------------------------------------------------

# instructions_of REQUESTS: sets counted to what a whole life with so many requests takes.
instructions_of() {
  prefix=(valgrind --tool=callgrind "--callgrind-out-file=$work/callgrind.$1")
  FANFARE__LOOPS=1 start
  seed_board
  load --connections 4 --requests "$1"
  stop_server
  prefix=()
  counted="$(awk '/Collected *:/ { print $NF }' "$work/err")"
  [[ -n "$counted" ]] || fail "callgrind printed no count"
}

instructions() {
  local few many counted
  need valgrind valgrind
  build
  instructions_of 2000
  few="$counted"
  instructions_of 12000
  many="$counted"
  say "2,000 requests: $few instructions; 12,000 requests: $many"
  say "user instructions per GET /gift/top: $(((many - few) / 10000))"
}

# --- idle ------------------------------------------------------------------------------------

resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; }

idle() {
  local round before after holder connections=10000 wait_until
  ulimit -n "$(ulimit -Hn)"
  (($(ulimit -n) > connections + 100)) || fail "$connections connections need more descriptors"
  build
  : >"$work/idle"
  for ((round = 1; round <= rounds; round++)); do
    start
    seed_board # buffers and tables that serve all connections exist before the first reading
    before="$(resident_kib)"
    mkfifo "$work/hold.$round"
    load --connections "$connections" --hold <"$work/hold.$round" >"$work/held" &
    holder=$!
    children+=("$holder")
    exec 8>"$work/hold.$round" # keeps the holder's input open
    wait_until=$((SECONDS + 60))
    until grep -q '^holding' "$work/held"; do
      is_running "$holder" || fail "the connections could not be opened"
      ((SECONDS < wait_until)) || fail "the connections could not be opened within 60 s"
      sleep 0.05
    done
    after="$(resident_kib)"
    exec 8>&-
    wait "$holder"
    stop_server
    say "round $round: $before kB before, $after kB with $connections connections"
    say "$(((after - before) * 1024 / connections))" >>"$work/idle"
  done
  say "user bytes per idle connection: $(median <"$work/idle") (median of $rounds)"
}

# --- syscalls --------------------------------------------------------------------------------

syscalls() {
  local tracer requests=50000
  need strace strace
  build
  start
  seed_board
  strace -c -f -p "$pid" -o "$work/strace" 2>"$work/tracer" &
  tracer=$!
  children+=("$tracer")
  until grep -q attached "$work/tracer"; do
    is_running "$tracer" || { cat "$work/tracer" >&2; fail "strace may not attach"; }
    sleep 0.05
  done
  load --connections 100 --requests "$requests"
  kill -INT "$tracer"
  wait "$tracer" || true
  stop_server
  say "system calls per GET /gift/top, 100 connections, $requests requests:"
  awk -v n="$requests" '$1 ~ /^[0-9.]+$/ && $NF != "total" {
    printf "  %-16s %8.4f\n", $NF, $4 / n; sum += $4
  } END { printf "  %-16s %8.4f\n", "all", sum / n }' "$work/strace"
}

# --- send ------------------------------------------------------------------------------------

redis_port=""

# There is no port 0 for Redis, so ports are tried until one is free.
start_redis() {
  local attempt port redis
  for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 10000))
    redis-server --bind 127.0.0.1 --port "$port" --dir "$work" --save '' --appendonly no \
      >"$work/redis.$attempt" 2>&1 &
    redis=$!
    children+=("$redis")
    while is_running "$redis"; do
      if grep -q 'Ready to accept connections' "$work/redis.$attempt"; then
        redis_port="$port"
        return
      fi
      sleep 0.05
    done
  done
  fail "redis-server did not start"
}

start_go_peer() {
  local peer
  say "building benches/peers/go-gift"
  (cd benches/peers/go-gift && timeout 300 go build -o "$work/go-gift" .)
  : >"$work/peer"
  "$work/go-gift" -redis "127.0.0.1:$redis_port" >"$work/peer" 2>"$work/err" &
  peer=$!
  children+=("$peer")
  await_ready "$work/peer" "$peer"
}

# timed_sends NAME ADDRESS PERCENT: one round; adds the rate to the list of that name.
timed_sends() {
  local report="$work/report"
  wrk_run 100 -s benches/send.lua "http://$2" -- "$3" >"$report"
  wrk_rate "$report" >>"$work/rates.$1"
  say "  $1: $(wrk_rate "$report")/s, p99 $(wrk_p99 "$report")$(wrk_trouble "$report")"
}

send() {
  local round fanfare peer floor
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_redis
  start_go_peer
  peer="$http"
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    rm -rf "$work/floor"
    mkdir "$work/floor"
    floor="$(timeout "$((seconds + 60))" "$tools/sqlite_floor" "$work/floor" "$seconds" 100)"
    say "  $floor"
    floor="${floor##*rate=}"
    say "${floor%/s}" >>"$work/rates.floor"
    timed_sends go-gift "$peer" 100
    start
    timed_sends fanfare "$http" 100
    stop_server
  done
  fanfare="$(median <"$work/rates.fanfare")"
  floor="$(median <"$work/rates.floor")"
  peer="$(median <"$work/rates.go-gift")"
  say "durable sends a second, medians: fanfare $fanfare, bare SQLite $floor, plain Go $peer"
  say "of bare SQLite: $(ratio "$fanfare" "$floor") (at least 0.30)"
  say "of plain Go:    $(ratio "$fanfare" "$peer") (at least 2)"
}

# --- mixed -----------------------------------------------------------------------------------

mixed() {
  local round top mix
  need wrk wrk
  build
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    start
    seed_board
    timed_sends top "$http" 0
    timed_sends mixed "$http" 10
    stop_server
  done
  top="$(median <"$work/rates.top")"
  mix="$(median <"$work/rates.mixed")"
  say "requests a second, medians: top alone $top, with 10 % sends $mix"
  say "of top alone: $(ratio "$mix" "$top") (at least 0.70)"
  say "latencies by kind, 100 connections:"
  start
  seed_board
  load --connections 100 --requests 50000
  load --connections 100 --requests 50000 --send-percent 10
  stop_server
}

case "${1:-seeds}" in
  seeds) seeds ;;
  flame) flame "${2:-}" ;;
  instructions) instructions ;;
  idle) idle ;;
  syscalls) syscalls ;;
  send) send ;;
  mixed) mixed ;;
  help | --help | -h) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
