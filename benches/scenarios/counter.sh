# shellcheck shell=bash
scenario counter "counters: health, GET, durable increments, a million of them, batches of 100;
against net/http with go-redis, 100 connections"

# pair KIND: the peer and the server by turns, in one round.
pair() {
  timed "$1, plain Go" "$peer" "${peers[*]}" "$1"
  timed "$1" "$http" "$pid" "$1"
}

counter() {
  local round kind peer load_script=benches/counter.lua
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_redis
  start_go_peer go-counter -redis "127.0.0.1:$redis_port"
  peer="$http"
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    start_pinned
    for kind in health increment get batch wide; do pair "$kind"; done
    stop_server
  done
  conclude "GET / health, CPU: $(ratio "$(median_of get cpu)" "$(median_of health cpu)") (at most 1.15)"
  conclude "durable increments / plain Go: $(ratio "$(median_of increment value)" \
    "$(median_of "increment, plain Go" value)") (at least 3)"
  conclude "a million counters / plain Go: $(ratio "$(median_of wide value)" \
    "$(median_of "wide, plain Go" value)")"
  conclude "batch of 100 / plain Go: $(ratio "$(median_of batch value)" \
    "$(median_of "batch, plain Go" value)") (at least 5)"
}
