# shellcheck shell=bash
scenario idle "bytes of user memory per idle connection, over 10,000 of them"

idle() {
  local round before after counted
  build
  for ((round = 1; round <= rounds; round++)); do
    start
    seed_board
    idle_bytes "$pid"
    stop_server
    say "round $round: $before kB before, $after kB with $idle_connections connections"
    record "bytes a connection" value "$counted"
  done
}
