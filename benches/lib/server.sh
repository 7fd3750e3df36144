# shellcheck shell=bash
# The server under test: built, started with data of its own, stopped.

build() {
  if [[ -z "${FANFARE_BENCH_SERVER:-}" ]]; then
    cargo build --release --locked --bin fanfare
  fi
  if [[ -z "${FANFARE_BENCH_TOOLS:-}" ]]; then
    cargo build --release --locked --example load --example sqlite_floor --example pace
  fi
  [[ -x "$server_binary" ]] || fail "there is no $server_binary"
}

# The environment of every server: free ports, nothing shared with another one.
serve() {
  FANFARE__TLV__LISTEN=127.0.0.1:0 FANFARE__ADMIN__LISTEN=127.0.0.1:0 \
    exec "${prefix[@]}" "$server_binary" --listen 127.0.0.1:0 --data "$work/data" "$@"
}
prefix=() # a command to run the server under

# await_ready FILE PROCESS [ERRORS]: sets http to the address in the ready line; ERRORS is where
# the process complains.
await_ready() {
  local file="$1" process="$2" errors="${3:-$work/err}" wait_until=$((SECONDS + 60)) line
  while ((SECONDS < wait_until)); do
    if line="$(grep -m 1 ' ready http=' "$file")"; then
      http="${line#* http=}"
      http="${http%% *}"
      return
    fi
    if ! is_running "$process"; then
      cat "$errors" >&2
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


start_pinned() {
  prefix=("${server_pin[@]}")
  start "$@"
  prefix=()
}
