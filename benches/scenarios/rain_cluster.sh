# shellcheck shell=bash
scenario rain-cluster "durable snatches a second on Redis and MongoDB against the seed's design in plain Go
on the same servers, which writes packets down after it answered; with the time of Redis for each, and
latencies at fixed rates"

# for_redis NAME ADDRESS PROCESSES ARGUMENT…: one timed round, with the time of Redis for a snatch.
for_redis() {
  local name="$1" before
  before="$(redis_time)"
  load_script=benches/snatch.lua timed "$@"
  record "$name, Redis" cpu "$(awk -v t="$(($(redis_time) - before))" \
    -v n="$(wrk_requests "$work/report")" 'BEGIN { printf "%.1f", t / n }')"
}

# A server of a cluster of its own, on the Redis that runs.
start_cluster_rain() {
  export FANFARE__BACKEND=cluster FANFARE__CLUSTER__MONGO="$mongo_uri"
  export FANFARE__CLUSTER__REDIS="redis://127.0.0.1:$redis_port"
  export FANFARE__CLUSTER__DATABASE="bench_$RANDOM$RANDOM"
  start_rain "$@"
}

rain-cluster() {
  local round peer name win p99 rate
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_mongo
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    for win in 1000000 300000; do
      start_redis
      start_go_peer go-rain -redis "127.0.0.1:$redis_port" -mongo "$mongo_uri" \
        -win "$(awk -v win="$win" 'BEGIN { print win / 1000000 }')"
      peer="$http"
      for_redis "snatch, plain Go, $((win / 10000)) %" "$peer" "${peers[*]}" 1000000
      for name in "${peers[@]}"; do stop "$name"; done
      start_redis
      start_cluster_rain win_ppm="$win"
      for_redis "snatch, $((win / 10000)) %" "$http" "$pid ${peers[*]}" 1000000
      stop_server
      for name in "${peers[@]}"; do stop "$name"; done
    done
  done
  for win in 100 30; do
    conclude "$win % win: snatch / plain Go: $(ratio "$(median_of "snatch, $win %" value)" \
      "$(median_of "snatch, plain Go, $win %" value)") (at least 1)"
    conclude "$win % win: µs of Redis for a snatch: $(median_of "snatch, $win %, Redis" cpu) (below 40)"
  done
  conclude "Fanfare has every packet in MongoDB before it answers, Go writes them down afterwards."
  start_redis
  start_cluster_rain
  at_rate 1000
  conclude "p99 at 1,000 snatches a second, every one durable: $p99 ms"
  for ((rate = 2000; rate <= 64000; rate *= 2)); do
    at_rate "$rate"
    if awk -v p99="$p99" 'BEGIN { exit !(p99 > 100) }'; then
      conclude "p99 passes 100 ms between $((rate / 2)) and $rate snatches a second"
      break
    fi
  done
  stop_server
}
