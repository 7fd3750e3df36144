# shellcheck shell=bash
scenario seeds "the loads of the systems that Fanfare follows (the default): go-stress-testing
on /gift/top and /gift/add_test_data, wrk on /hello with a blocked terminal"

# stress CONNECTIONS REQUESTS_EACH PATH
stress() {
  local connections="$1" each="$2" path="$3" keep manner
  for keep in -k ""; do
    manner="kept alive"
    [[ -n "$keep" ]] || manner="a new one for each request"
    say ""
    say "== $path, $connections connections, $manner"
    if command -v go-stress-testing >/dev/null; then
      # shellcheck disable=SC2086 # an empty option must vanish
      timeout 600 go-stress-testing -c "$connections" -n "$each" $keep -v json -code 0 \
        -u "http://$http$path" | tail -n 25
    elif [[ -n "$keep" ]]; then
      wrk_run "$connections" -s benches/check.lua "http://$http$path"
    else
      wrk_run "$connections" -s benches/check.lua -H 'Connection: close' "http://$http$path"
    fi
  done
}

seeds() {
  need wrk wrk
  build
  if ! command -v go-stress-testing >/dev/null; then
    say "go-stress-testing is not on the PATH: wrk with the same connections takes its place,"
    say "for $seconds s each instead of a number of requests"
  fi
  start --dev
  seed_board
  stress 100 10000 /gift/top
  stress 1000 1000 /gift/add_test_data
  stop_server
  say ""
  say "== /hello, 1000 connections, standard output blocked"
  start_blocked
  wrk_run 1000 --timeout 2 "http://$http/hello" | tee "$work/hello"
  # wrk counts a time-out when the late answer comes, so no answer at all is not one of them.
  awk '/ requests in / { answered = $1 } /Socket errors/ { late = $NF } END {
    printf "answered: %d, time-outs: %d\n", answered, late
    exit answered == 0
  }' "$work/hello" || fail "the server stood still behind its terminal"
  stop_server
}
