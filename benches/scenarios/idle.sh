# shellcheck shell=bash
scenario idle "bytes of user memory per idle connection, over 10,000 of them"

resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; }

idle() {
  local round before after holder connections=10000 wait_until
  ulimit -n "$(ulimit -Hn)"
  (($(ulimit -n) > connections + 100)) || fail "$connections connections need more descriptors"
  build
  for ((round = 1; round <= rounds; round++)); do
    start
    seed_board # buffers and tables that serve all connections exist before the first reading
    before="$(resident_kib)"
    rm -f "$work/hold.$round"
    mkfifo "$work/hold.$round"
    load --connections "$connections" --hold <"$work/hold.$round" >"$work/held" &
    holder=$!
    children+=("$holder")
    exec 8>"$work/hold.$round" # keeps the holder's input open
    wait_until=$((SECONDS + 60))
    until grep -q '^holding' "$work/held"; do
      is_running "$holder" || fail "the connections could not be opened"
      ((SECONDS < wait_until)) || fail "the connections could not be opened within 60 s"
      sleep 0.05
    done
    after="$(resident_kib)"
    exec 8>&-
    wait "$holder"
    stop_server
    say "round $round: $before kB before, $after kB with $connections connections"
    record "bytes a connection" value "$(((after - before) * 1024 / connections))"
  done
}
