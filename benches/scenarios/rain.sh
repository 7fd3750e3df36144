# shellcheck shell=bash
scenario rain "durable snatches a second against the seed's design in plain Go with Redis, what
refusals cost against GET /gift/top, and latencies at fixed rates; with --cluster: rain-cluster"

# start_rain KEY=VALUE…: a pinned server with a rain in which everybody wins and nobody meets a limit,
# unless a key of [rain] says otherwise.
start_rain() {
  local pair
  local -a terms=(id=1 total_count=10000000 total_amount_fen=1000000000 win_ppm=1000000
    max_per_user=1000000 ends_at=2096-01-01T00:00:00Z user_rate=1000000000
    user_burst=1000000000 global_rate=1000000000 global_burst=1000000000)
  for pair in "${terms[@]}" "$@"; do
    export "FANFARE__RAIN__$(tr '[:lower:]' '[:upper:]' <<<"${pair%%=*}")=${pair#*=}"
  done
  start_pinned
}

# refusal NAME USERS KEY=VALUE…: what a refusal costs.
refusal() {
  local name="$1" users="$2"
  shift 2
  start_rain "$@"
  load_script=benches/snatch.lua timed "$name" "$http" "$pid" "$users"
  stop_server
}

# at_rate SNATCHES: its p99 in milliseconds goes to `p99`.
at_rate() {
  local report
  report="$("${load_pin[@]}" "$tools/pace" --addr "$http" --rate "$1" --seconds "$seconds")"
  p99="$(awk -F p99_us= '{ printf "%.1f", $2 / 1000 }' <<<"$report")"
  say "  $1 snatches a second asked for: $report"
}

rain() {
  case "${1:-}" in
    "") ;;
    --cluster) rain-cluster; return ;;
    *) fail "rain knows --cluster, and not $1" ;;
  esac
  local round peer name p99 rate
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  need curl curl
  build
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    # A pool of its own for each round: the load of one empties a part of it.
    start_redis
    start_go_peer go-rain -redis "127.0.0.1:$redis_port"
    peer="$http"
    load_script=benches/snatch.lua timed "snatch, plain Go" "$peer" "${peers[*]}" 1000000
    for name in "${peers[@]}"; do stop "$name"; done
    start_rain
    load_script=benches/snatch.lua timed "snatch" "$http" "$pid" 1000000
    seed_board
    timed "top" "$http" "$pid" 0
    stop_server
    refusal "unlucky" 1000000 win_ppm=0
    refusal "too fast" 1 user_rate=1 user_burst=1
    refusal "no snatches left" 1 max_per_user=1
    start_rain ends_at="$(date -u -d '+2 seconds' +%FT%TZ)"
    until curl -s "http://$http/rain" | grep -q '"state":"ended"'; do sleep 0.1; done
    load_script=benches/snatch.lua timed "ended" "$http" "$pid" 1000000
    stop_server
  done
  conclude "snatch / plain Go: $(ratio "$(median_of snatch value)" \
    "$(median_of "snatch, plain Go" value)") (at least 2.5)"
  for name in "unlucky" "too fast" "no snatches left" "ended"; do
    conclude "CPU of \"$name\" / top: $(ratio "$(median_of "$name" cpu)" "$(median_of top cpu)") (at most 1.3)"
  done
  start_rain
  at_rate 1000
  conclude "p99 at 1,000 snatches a second: $p99 ms"
  # Doubled until it is too much: the last figure is the first rate that is.
  for ((rate = 2000; rate <= 512000; rate *= 2)); do
    at_rate "$rate"
    if awk -v p99="$p99" 'BEGIN { exit !(p99 > 100) }'; then
      conclude "p99 passes 100 ms between $((rate / 2)) and $rate snatches a second"
      break
    fi
  done
  stop_server
}
