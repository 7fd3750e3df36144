# shellcheck shell=bash
scenario counter-cluster "counters on Redis and MongoDB: GET, durable increments of one counter and of a million,
batches of 100; with Redis' commands and time. Against net/http with go-redis, whose increments are
durable nowhere. Uses mongod where that is installed, or FANFARE_BENCH_MONGO, else the server of the tests"

counter-cluster() {
  local round kind redis peer label before load_script=benches/counter.lua
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_mongo
  start_redis
  redis="${peers[0]}"
  start_go_peer go-counter -redis "127.0.0.1:$redis_port"
  peer="$http"
  export FANFARE__BACKEND=cluster FANFARE__CLUSTER__MONGO="$mongo_uri"
  export FANFARE__CLUSTER__REDIS="redis://127.0.0.1:$redis_port"
  export FANFARE__CLUSTER__DATABASE="bench_$RANDOM$RANDOM"
  start_pinned
  # The server of the tests compiles itself while it works, and only Fanfare's increments wait for it.
  say "warming up"
  "${load_pin[@]}" wrk -t 1 -c 100 -d "${seconds}s" -s "$load_script" "http://$http" -- increment >/dev/null
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    for kind in get batch increment wide; do
      on_redis "$kind, Go" "$peer" "${peers[*]}" "$kind"
      before="$(redis_commands)"
      on_redis "$kind" "$http" "$pid $redis" "$kind"
      # Scripts count what they call: for one counter few, however many increments there are.
      record "$kind, Redis commands a second" value \
        "$(awk -v n="$(($(redis_commands) - before))" -v s="$seconds" 'BEGIN { printf "%.0f", n / s }')"
    done
  done
  for kind in increment wide batch get; do
    case "$kind" in
      increment) label="durable increments of one counter" ;;
      wide) label="durable increments of a million counters" ;;
      batch) label="batches of 100" ;;
      *) label="reads" ;;
    esac
    conclude "$label / plain Go: $(ratio "$(median_of "$kind" value)" "$(median_of "$kind, Go" value)")"
  done
  conclude "Aim: durable increments at least 2.5 times. Rows that end in Redis: its commands per 1,000"
  conclude "requests, and its processor time a request. CPU of the others: the program and Redis together."
  stop_server
}
