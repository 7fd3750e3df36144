# shellcheck shell=bash
scenario cluster "reads and durable sends on Redis and MongoDB against plain Go on the same servers,
for boards of FANFARE_BENCH_ANCHORS (1000 100000 1000000) anchors; with Redis' commands and time.
Uses mongod where that is installed, or FANFARE_BENCH_MONGO, else the server of the tests"

mongo_uri="${FANFARE_BENCH_MONGO:-}"

# A MongoDB with data of its own, unless one is named.
start_mongo() {
  [[ -z "$mongo_uri" ]] || return 0
  local port process
  if command -v mongod >/dev/null; then
    port=$((30000 + RANDOM % 2000))
    mkdir -p "$work/mongo"
    "${server_pin[@]}" mongod --dbpath "$work/mongo" --bind_ip 127.0.0.1 --port "$port" \
      >"$work/mongo.log" 2>&1 &
    children+=("$!")
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
    mongo_uri="mongodb://127.0.0.1:$port"
    return
  fi
  need java default-jdk-headless
  tests/mongo/build.sh
  say "no mongod: the tests' MongoDB-wire server stands in, in memory; it is the same for both"
  # It ends when its standard input does. A small young generation: its collector stops all threads.
  mkfifo "$work/mongo.stdin"
  exec 8<>"$work/mongo.stdin"
  "${server_pin[@]}" java -Xms2g -Xmn48m -cp 'target/mongo-server:target/mongo-server/lib/*' \
    Launcher hash 0 5.0 <"$work/mongo.stdin" >"$work/mongo.log" 2>/dev/null &
  process=$!
  children+=("$process")
  until grep -q '^ready ' "$work/mongo.log"; do
    is_running "$process" || fail "the MongoDB-wire server did not start"
    sleep 0.1
  done
  mongo_uri="mongodb://127.0.0.1:$(awk '/^ready / { print $2 }' "$work/mongo.log")"
}

redis_info() {
  redis-cli -p "$redis_port" INFO all | tr -d '\r' | awk -F: -v name="$1" '$1 == name { print $2 }'
}

redis_commands() { redis_info total_commands_processed; }

# Microseconds of processor time.
redis_time() {
  awk -v user="$(redis_info used_cpu_user)" -v kernel="$(redis_info used_cpu_sys)" \
    'BEGIN { printf "%.0f", (user + kernel) * 1000000 }'
}

# on_redis NAME ADDRESS PROCESSES ARGUMENT…: one timed round, with what Redis did for it.
on_redis() {
  local name="$1" commands before requests
  commands="$(redis_commands)"
  before="$(redis_time)"
  timed "$@"
  requests="$(wrk_requests "$work/report")"
  record "$name, Redis" value "$(awk -v c="$(($(redis_commands) - commands))" -v n="$requests" \
    'BEGIN { printf "%.0f", c * 1000 / n }')"
  record "$name, Redis" cpu "$(awk -v t="$(($(redis_time) - before))" -v n="$requests" \
    'BEGIN { printf "%.1f", t / n }')"
}

cluster() {
  local round anchors redis peer label
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_mongo
  start_redis
  redis="${peers[0]}"
  start_go_peer go-cluster -redis "127.0.0.1:$redis_port" -mongo "$mongo_uri"
  peer="$http"
  export FANFARE__BACKEND=cluster FANFARE__CLUSTER__MONGO="$mongo_uri"
  export FANFARE__CLUSTER__REDIS="redis://127.0.0.1:$redis_port"
  export FANFARE__CLUSTER__DATABASE="bench_$RANDOM$RANDOM"
  start_pinned
  for anchors in ${FANFARE_BENCH_ANCHORS:-1000 100000 1000000}; do
    say "a board of $anchors anchors"
    "$work/go-cluster" -redis "127.0.0.1:$redis_port" -fill "$anchors"
    label="$anchors"
    for ((round = 1; round <= rounds; round++)); do
      say "round $round"
      on_redis "read, Go, $label" "$peer" "${peers[*]}" 0
      on_redis "read, $label" "$http" "$pid $redis" 0
      on_redis "send, Go, $label" "$peer" "${peers[*]}" 100 "$anchors" 1000
      on_redis "send, $label" "$http" "$pid $redis" 100 "$anchors" 1000
    done
    conclude "$label anchors: reads / plain Go: $(ratio "$(median_of "read, $label" value)" \
      "$(median_of "read, Go, $label" value)") (at least 4), CPU a read: $(ratio \
      "$(median_of "read, $label" cpu)" "$(median_of "read, Go, $label" cpu)") (at most 0.17)"
    conclude "$label anchors: durable sends / plain Go: $(ratio \
      "$(median_of "send, $label" value)" "$(median_of "send, Go, $label" value)") (at least 2)"
  done
  conclude "Rows that end in Redis: its commands per 1,000 requests, and its processor time a request."
  conclude "CPU of the others: the program and Redis together, MongoDB aside."
  stop_server
}
