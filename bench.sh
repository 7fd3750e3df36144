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
  wide              the same for 10,000 anchors and 1,000 audiences, with checkpoints under way
  mixed             nine reads and one send against reads alone
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

# Picks a figure out of a report of wrk: rate, or the latency of a percentile in milliseconds.
wrk_rate() { awk '/^Requests\/sec:/ { print $2 }' "$1"; }
wrk_ms() {
  awk -v percent="$2" '$1 == percent {
    unit = $2; sub(/^[0-9.]+/, "", unit)
    print $2 * (unit == "us" ? 0.001 : unit == "s" ? 1000 : unit == "m" ? 60000 : 1)
  }' "$1"
}
wrk_requests() { awk '/ requests in / { print $1 }' "$1"; }

# The answers that were no success, for the end of a line.
wrk_trouble() { awk '/Non-2xx|Socket errors/ { printf " (%s)", $0 }' "$1" | tr -s ' '; }

# Processor time of processes so far, in hundredths of a second.
ticks() {
  local process sum=0
  for process in "$@"; do
    sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$process/stat")))
  done
  printf '%d' "$sum"
}

# record NAME FIGURE VALUE: one more round of a row of the table.
record() {
  [[ -d "$work/figures" ]] || mkdir "$work/figures"
  [[ -e "$work/figures/$1" ]] || printf '%s\n' "$1" >>"$work/rows"
  printf '%s %s\n' "$2" "$3" >>"$work/figures/$1"
}

# of NAME FIGURE: median, lowest and highest of all rounds.
of() {
  awk -v figure="$2" '$1 == figure { print $2 }' "$work/figures/$1" | sort -g |
    awk '{ value[NR] = $1 } END { if (NR) print value[int((NR + 1) / 2)], value[1], value[NR] }'
}

median_of() { of "$1" "$2" | cut -d ' ' -f 1; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "?" }'; }

# conclude TEXT: a line below the table.
conclude() { printf '%s\n' "$*" >>"$work/conclusions"; }

# All that was recorded, a row each.
table() {
  local row
  say ""
  printf '%-22s %10s %21s %8s %9s %9s\n' "" median "lowest - highest" "CPU µs" "p50 ms" "p99 ms"
  while read -r row; do
    # shellcheck disable=SC2046 # three words
    printf '%-22s %10s %10s - %8s %8s %9s %9s\n' "$row" $(of "$row" value) \
      "$(median_of "$row" cpu)" "$(median_of "$row" p50)" "$(median_of "$row" p99)"
  done <"$work/rows"
  [[ ! -e "$work/conclusions" ]] || cat "$work/conclusions"
}

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

# instructions_of CONNECTIONS REQUESTS: sets counted to what a whole life with so many takes.
instructions_of() {
  prefix=(valgrind --tool=callgrind "--callgrind-out-file=$work/callgrind.$2")
  FANFARE__LOOPS=1 start
  seed_board
  load --connections "$1" --requests "$2"
  stop_server
  prefix=()
  counted="$(awk '/Collected *:/ { print $NF }' "$work/err")"
  [[ -n "$counted" ]] || fail "callgrind printed no count"
}

# One connection: each request has a turn of the loop to itself, so the count repeats. A hundred:
# as under load, where requests share a turn.
instructions() {
  local connections few counted
  need valgrind valgrind
  build
  for connections in 1 100; do
    instructions_of "$connections" 2000
    few="$counted"
    instructions_of "$connections" 12000
    record "instructions, $connections conn." value "$(((counted - few) / 10000))"
  done
}

# --- idle ------------------------------------------------------------------------------------

resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; }

idle() {
  local round before after holder connections=10000 wait_until
  ulimit -n "$(ulimit -Hn)"
  (($(ulimit -n) > connections + 100)) || fail "$connections connections need more descriptors"
  build
  for ((round = 1; round <= rounds; round++)); do
    start
    seed_board # buffers and tables that serve all connections exist before the first reading
    before="$(resident_kib)"
    rm -f "$work/hold.$round"
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
    record "bytes a connection" value "$(((after - before) * 1024 / connections))"
  done
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
    printf "  %-16s %8.4f\n", $NF, $4 / n
  }' "$work/strace"
  record "system calls a read" value "$(awk -v n="$requests" '
    $1 ~ /^[0-9.]+$/ && $NF != "total" { sum += $4 } END { printf "%.3f", sum / n }' "$work/strace")"
}

# --- send ------------------------------------------------------------------------------------

redis_port=""
peers=() # processes of the peer

# There is no port 0 for Redis, so ports are tried until one is free.
start_redis() {
  local attempt port redis
  for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 10000))
    "${server_pin[@]}" redis-server --bind 127.0.0.1 --port "$port" --dir "$work" --save '' \
      --appendonly no >"$work/redis.$attempt" 2>&1 &
    redis=$!
    children+=("$redis")
    while is_running "$redis"; do
      if grep -q 'Ready to accept connections' "$work/redis.$attempt"; then
        redis_port="$port"
        peers=("$redis")
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
  "${server_pin[@]}" "$work/go-gift" -redis "127.0.0.1:$redis_port" >"$work/peer" 2>"$work/err" &
  peer=$!
  children+=("$peer")
  peers+=("$peer")
  await_ready "$work/peer" "$peer"
}

# timed NAME ADDRESS PROCESSES ARGUMENT…: one round of wrk with benches/send.lua, recorded.
timed() {
  local name="$1" address="$2" report="$work/report" before after
  local -a processes
  read -r -a processes <<<"$3"
  shift 3
  before="$(ticks "${processes[@]}")"
  timeout "$((seconds + 60))" "${load_pin[@]}" wrk -t 1 -c 100 -d "${seconds}s" \
    --latency -s benches/send.lua "http://$address" -- "$@" >"$report"
  after="$(ticks "${processes[@]}")"
  record "$name" value "$(wrk_rate "$report")"
  record "$name" cpu "$(awk -v t="$((after - before))" -v n="$(wrk_requests "$report")" \
    'BEGIN { printf "%.1f", t * 10000 / n }')"
  record "$name" p50 "$(wrk_ms "$report" 50%)"
  record "$name" p99 "$(wrk_ms "$report" 99%)"
  say "  $name: $(wrk_rate "$report")/s, p99 $(wrk_ms "$report" 99%) ms$(wrk_trouble "$report")"
}

# timed_floor NAME ANCHORS: what SQLite alone does, at 100 rows a commit.
timed_floor() {
  local floor
  rm -rf "$work/floor"
  mkdir "$work/floor"
  floor="$("${server_pin[@]}" "$tools/sqlite_floor" "$work/floor" "$seconds" 100 "$2")"
  floor="${floor##*rate=}"
  record "$1" value "${floor%/s}"
  say "  $1: $floor"
}

start_pinned() {
  prefix=("${server_pin[@]}")
  start "$@"
  prefix=()
}

send() {
  local round peer
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_redis
  start_go_peer
  peer="$http"
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    timed_floor "bare SQLite" 99
    timed "send, plain Go" "$peer" "${peers[*]}" 100
    start_pinned
    timed "send" "$http" "$pid" 100
    stop_server
  done
  conclude "send / bare SQLite: $(ratio "$(median_of send value)" \
    "$(median_of "bare SQLite" value)") (at least 0.30)"
  conclude "send / plain Go: $(ratio "$(median_of send value)" \
    "$(median_of "send, plain Go" value)") (at least 2)"
}

# Long enough for several checkpoints, whose work is part of it.
wide() {
  local round seconds="$((seconds * 3))"
  need wrk wrk
  build
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    timed_floor "bare SQLite, wide" 10000
    start_pinned
    timed "send, wide" "$http" "$pid" 100 10000 1000
    stop_server
  done
  conclude "send / bare SQLite, wide: $(ratio "$(median_of "send, wide" value)" \
    "$(median_of "bare SQLite, wide" value)") (at least 0.30)"
}

# --- mixed -----------------------------------------------------------------------------------

mixed() {
  local round
  need wrk wrk
  build
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    start_pinned
    seed_board
    timed "top" "$http" "$pid" 0
    timed "90 % top, 10 % send" "$http" "$pid" 10
    stop_server
  done
  conclude "mixed / top alone: $(ratio "$(median_of "90 % top, 10 % send" value)" \
    "$(median_of top value)") (at least 0.70)"
  say "latencies by kind, 100 connections:"
  start_pinned
  seed_board
  load --connections 100 --requests 50000
  load --connections 100 --requests 50000 --send-percent 10
  stop_server
}

figures() {
  local one
  for one in instructions idle syscalls send wide mixed; do
    say ""
    say "== $one"
    "$one"
  done
}

case "${1:-seeds}" in
  seeds) seeds ;;
  flame) flame "${2:-}" ;;
  instructions | idle | syscalls | send | wide | mixed | figures)
    "$1"
    table
    ;;
  help | --help | -h) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
