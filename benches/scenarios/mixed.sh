# shellcheck shell=bash
scenario mixed "nine reads and one send against reads alone"

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
