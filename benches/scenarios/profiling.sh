# shellcheck shell=bash
scenario profiling "the load of mixed while its CPU and heap are profiled, at least 0.95 of it without"

profiling() {
  local round admin profiler kept
  need wrk wrk
  need curl curl
  build
  FANFARE__HEAP_PROFILING=true start_pinned
  admin="$(sed -n 's/.* admin=\([^ ]*\).*/\1/p' "$work/out")"
  seed_board
  for ((round = 1; round <= rounds; round++)); do
    say "round $round"
    timed "not profiled" "$http" "$pid" 10
    # A little longer than the load, so that no part of it goes without.
    curl -sSf -o "$work/profile" "http://$admin/debug/pprof/profile?seconds=$((seconds + 1))" &
    profiler=$!
    children+=("$profiler")
    timed "profiled" "$http" "$pid" 10
    wait "$profiler" || fail "no CPU profile"
    curl -sSf -o "$work/profile" "http://$admin/debug/pprof/heap" || fail "no heap profile"
  done
  stop_server
  kept="$(ratio "$(median_of profiled value)" "$(median_of "not profiled" value)")"
  conclude "profiled / not profiled: $kept (at least 0.95)"
  awk -v kept="$kept" 'BEGIN { exit kept < 0.95 }' || fail "profiles cost too much: $kept"
}
