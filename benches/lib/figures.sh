# shellcheck shell=bash
# Loads, what they report, and the table at the end.

load() { timeout 300 "$tools/load" --addr "$http" "$@"; }

# Some gifts on the board, the same ones in the same order in every run, so that it reads the same.
seed_board() { load --connections 1 --requests 1000 --send-percent 100 >/dev/null; }

threads() { printf '%d' "$((($(nproc) + 1) / 2))"; }

# wrk_run CONNECTIONS ARGUMENT…: prints what wrk prints.
wrk_run() {
  local connections="$1"
  shift
  timeout "$((seconds + 60))" wrk -t "$(threads)" -c "$connections" -d "${seconds}s" --latency "$@"
}

# Picks a figure out of a report of wrk: rate, or the latency of a percentile in milliseconds.
wrk_rate() { awk '/^Requests\/sec:/ { print $2 }' "$1"; }
wrk_ms() {
  awk -v percent="$2" '$1 == percent {
    unit = $2; sub(/^[0-9.]+/, "", unit)
    print $2 * (unit == "us" ? 0.001 : unit == "s" ? 1000 : unit == "m" ? 60000 : 1)
  }' "$1"
}
wrk_requests() { awk '/ requests in / { print $1 }' "$1"; }

# The answers that were no success, for the end of a line.
wrk_trouble() { awk '/Non-2xx|Socket errors/ { printf " (%s)", $0 }' "$1" | tr -s ' '; }

# Processor time of processes so far, in hundredths of a second.
ticks() {
  local process sum=0
  for process in "$@"; do
    sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$process/stat")))
  done
  printf '%d' "$sum"
}

# record NAME FIGURE VALUE: one more round of a row of the table.
record() {
  [[ -d "$work/figures" ]] || mkdir "$work/figures"
  [[ -e "$work/figures/$1" ]] || printf '%s\n' "$1" >>"$work/rows"
  printf '%s %s\n' "$2" "$3" >>"$work/figures/$1"
}

# of NAME FIGURE: median, lowest and highest of all rounds.
of() {
  awk -v figure="$2" '$1 == figure { print $2 }' "$work/figures/$1" | sort -g |
    awk '{ value[NR] = $1 } END { if (NR) print value[int((NR + 1) / 2)], value[1], value[NR] }'
}

median_of() { of "$1" "$2" | cut -d ' ' -f 1; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "?" }'; }

# conclude TEXT: a line below the table.
conclude() { printf '%s\n' "$*" >>"$work/conclusions"; }

# All that was recorded, a row each.
table() {
  local row
  say ""
  printf '%-22s %10s %21s %8s %9s %9s\n' "" median "lowest - highest" "CPU µs" "p50 ms" "p99 ms"
  while read -r row; do
    # shellcheck disable=SC2046 # three words
    printf '%-22s %10s %10s - %8s %8s %9s %9s\n' "$row" $(of "$row" value) \
      "$(median_of "$row" cpu)" "$(median_of "$row" p50)" "$(median_of "$row" p99)"
  done <"$work/rows"
  [[ ! -e "$work/conclusions" ]] || cat "$work/conclusions"
}

# timed NAME ADDRESS PROCESSES ARGUMENT…: one round of wrk, recorded; with benches/send.lua, unless
# load_script names another.
timed() {
  local name="$1" address="$2" report="$work/report" before after
  local -a processes
  read -r -a processes <<<"$3"
  shift 3
  before="$(ticks "${processes[@]}")"
  timeout "$((seconds + 60))" "${load_pin[@]}" wrk -t 1 -c 100 -d "${seconds}s" \
    --latency -s "${load_script:-benches/send.lua}" "http://$address" -- "$@" >"$report"
  after="$(ticks "${processes[@]}")"
  record "$name" value "$(wrk_rate "$report")"
  record "$name" cpu "$(awk -v t="$((after - before))" -v n="$(wrk_requests "$report")" \
    'BEGIN { printf "%.1f", t * 10000 / n }')"
  record "$name" p50 "$(wrk_ms "$report" 50%)"
  record "$name" p99 "$(wrk_ms "$report" 99%)"
  say "  $name: $(wrk_rate "$report")/s, p99 $(wrk_ms "$report" 99%) ms$(wrk_trouble "$report")"
}
