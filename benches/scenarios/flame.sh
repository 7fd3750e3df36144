# shellcheck shell=bash
scenario flame "flamegraphs/SCENARIO.svg; SCENARIO is top, send or hello"

scenario_load() {
  case "$1" in
    top) wrk_run 100 "http://$http/gift/top" ;;
    send) wrk_run 100 -s benches/send.lua "http://$http" -- 100 ;;
    hello) wrk_run 100 "http://$http/hello" ;;
  esac
}

flame() {
  local scenario="${1:-}" svg recorder sampling="record -e cpu-clock -F 997 -g"
  case "$scenario" in
    top | send | hello) ;;
    *) fail "flame needs a scenario: top, send or hello" ;;
  esac
  need wrk wrk
  need perf linux-perf
  command -v flamegraph >/dev/null || command -v inferno-flamegraph >/dev/null ||
    fail "neither flamegraph nor inferno is installed: cargo install flamegraph (or inferno)"
  build
  mkdir -p flamegraphs
  svg="$PWD/flamegraphs/$scenario.svg"
  start
  seed_board
  # The recorder follows the process until it ends.
  if command -v flamegraph >/dev/null; then
    (cd "$work" && exec flamegraph -c "$sampling" --pid "$pid" --output "$svg") \
      >"$work/recorder" 2>&1 &
  else
    # shellcheck disable=SC2086 # several words
    perf $sampling -o "$work/perf.data" -p "$pid" >"$work/recorder" 2>&1 &
  fi
  recorder=$!
  children+=("$recorder")
  scenario_load "$scenario"
  stop_server
  wait "$recorder" || { cat "$work/recorder" >&2; fail "the recording failed"; }
  if ! command -v flamegraph >/dev/null; then
    perf script -i "$work/perf.data" 2>/dev/null | inferno-collapse-perf 2>/dev/null |
      inferno-flamegraph --title "fanfare: $scenario" >"$svg"
  fi
  say "written: flamegraphs/$scenario.svg"
}
