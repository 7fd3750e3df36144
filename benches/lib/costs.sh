# shellcheck shell=bash
# What a request or a connection costs a running server, counted and not timed.

resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# idle_bytes PROCESS: sets counted to what each of 10,000 connections to $http takes of its memory,
# with $before and $after in kB. Buffers and tables that serve all connections must exist already.
idle_connections=10000
idle_bytes() {
  local holder wait_until=$((SECONDS + 60))
  ulimit -n "$(ulimit -Hn)"
  (($(ulimit -n) > idle_connections + 100)) ||
    fail "$idle_connections connections need more descriptors"
  before="$(resident_kib "$1")"
  rm -f "$work/hold"
  mkfifo "$work/hold"
  : >"$work/held"
  load --connections "$idle_connections" --hold <"$work/hold" >"$work/held" &
  holder=$!
  children+=("$holder")
  exec 8>"$work/hold" # keeps the holder's input open
  until grep -q '^holding' "$work/held"; do
    is_running "$holder" || fail "the connections could not be opened"
    ((SECONDS < wait_until)) || fail "the connections could not be opened within 60 s"
    sleep 0.05
  done
  after="$(resident_kib "$1")"
  exec 8>&-
  wait "$holder"
  counted="$(((after - before) * 1024 / idle_connections))"
}

# count_syscalls PROCESS REQUESTS: what strace counts while 100 connections to $http send so many
# GET /gift/top; the table is left in $work/strace.
count_syscalls() {
  local tracer
  strace -c -f -p "$1" -o "$work/strace" 2>"$work/tracer" &
  tracer=$!
  children+=("$tracer")
  until grep -q attached "$work/tracer"; do
    is_running "$tracer" || { cat "$work/tracer" >&2; fail "strace may not attach"; }
    sleep 0.05
  done
  load --connections 100 --requests "$2"
  kill -INT "$tracer"
  wait "$tracer" || true
}

# syscalls_per_request REQUESTS: all of them, from that table.
syscalls_per_request() {
  awk -v n="$1" '$1 ~ /^[0-9.]+$/ && $NF != "total" { sum += $4 } END { printf "%.3f", sum / n }' \
    "$work/strace"
}

# collected FILE: the instructions that callgrind counted, from the standard error of what it ran.
collected() {
  local count
  count="$(awk '/Collected *:/ { print $NF }' "$1")"
  [[ -n "$count" ]] || fail "callgrind printed no count"
  printf '%s' "$count"
}
