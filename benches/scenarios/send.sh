# shellcheck shell=bash
scenario send "durable sends a second against bare SQLite and against plain Go with Redis"
scenario wide "the same for 10,000 anchors and 1,000 audiences, with checkpoints under way"

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

send() {
  local round peer
  need wrk wrk
  need redis-server redis-server
  need go golang-go
  build
  start_redis
  start_go_peer go-gift -redis "127.0.0.1:$redis_port"
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
