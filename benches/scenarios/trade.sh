# shellcheck shell=bash
scenario trade "the trading room: 10,000 idle connections (bytes each), a push to all of them against
a bare loop of writes, and heartbeats at 100 connections against plain Go servers"

trade_tool() { timeout 300 "${load_pin[@]}" "$tools/trade_load" "$@"; }

# pushes NAME ADDRESS [ARGUMENT…]: records the times of some pushes to 10,000 connections.
pushes() {
  local name="$1" address="$2" figure
  shift 2
  trade_tool push --addr "$address" --rounds 9 "$@" >"$work/pushed"
  while read -r figure; do
    case "$figure" in
      push_ms=*) record "$name" value "${figure#*=}" ;;
      bytes=*) record "bytes a connection" value "${figure#*=}" ;;
    esac
  done <"$work/pushed"
  say "  $name: $(median_of "$name" value) ms"
  [[ ! -e "$work/figures/bytes a connection" || "$name" != push ]] ||
    say "  an idle connection: $(median_of "bytes a connection" value) bytes"
}

beats() {
  local rate
  rate="$(trade_tool echo --addr "$2" --connections 100 --seconds "$seconds")"
  rate="${rate#rate=}"
  record "$1" value "${rate%/s}"
  say "  $1: $rate"
}

start_go_room() {
  local peer
  : >"$work/peer"
  "${server_pin[@]}" "$work/go-trade" "$@" >"$work/peer" 2>"$work/err" &
  peer=$!
  children+=("$peer")
  await_ready "$work/peer" "$peer"
  go_room="$peer"
}

trade() {
  local round bare go_room=""
  need go golang-go
  ulimit -n "$(ulimit -Hn)"
  (($(ulimit -n) > 10100)) || fail "10,000 connections need more descriptors"
  build
  say "building benches/peers/go-trade"
  (cd benches/peers/go-trade && timeout 300 go build -o "$work/go-trade" .)
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    : >"$work/bare"
    "${server_pin[@]}" "$tools/trade_load" bare >"$work/bare" &
    bare=$!
    children+=("$bare")
    await_ready "$work/bare" "$bare"
    pushes "push, bare loop" "$http"
    stop "$bare"
    start_pinned
    pushes "push" "$tlv" --pid "$pid"
    stop_server
    start_go_room -zinx
    beats "heartbeats, zinx" "$http"
    stop "$go_room"
    start_go_room
    beats "heartbeats, plain Go" "$http"
    stop "$go_room"
    start_pinned
    beats "heartbeats" "$tlv"
    stop_server
  done
  conclude "user memory of an idle connection: $(median_of "bytes a connection" value) bytes (at most 1,024)"
  conclude "push / bare loop: $(ratio "$(median_of push value)" \
    "$(median_of "push, bare loop" value)") (at most 2)"
  conclude "heartbeats / zinx: $(ratio "$(median_of heartbeats value)" \
    "$(median_of "heartbeats, zinx" value)") (at least 2)"
  conclude "heartbeats / plain Go: $(ratio "$(median_of heartbeats value)" \
    "$(median_of "heartbeats, plain Go" value)")"
}
