# shellcheck shell=bash
scenario compare "Fanfare beside the limit (a responder that parses nothing) and its peers, and the
ratios; or only what is named: keep-alive, thousand, pipelined, closing,
instructions, syscalls, idle"

# Rates and latencies are measured with wrk on a core of its own, CPU time with wrk on the server's
# core: there nobody sleeps and wakes, which is what spreads most. All servers run throughout, and
# each round asks all of them, so that what disturbs one disturbs its neighbours in the round too.

compared_loads=(keep-alive thousand pipelined closing)
compared_costs=(instructions syscalls idle)

# Fanfare's CPU time against the limit's, at most.
declare -A cpu_goal=([keep-alive]=1.12 [thousand]=1.20 [pipelined]=1.50 [closing]=1.10)

compare() {
  local one chosen=("$@")
  for one in wrk:wrk nginx:nginx-light go:golang-go curl:curl strace:strace valgrind:valgrind; do
    need "${one%:*}" "${one#*:}"
  done
  ((${#chosen[@]} > 0)) || chosen=("${compared_loads[@]}" "${compared_costs[@]}")
  for one in "${chosen[@]}"; do
    [[ " ${compared_loads[*]} ${compared_costs[*]} " == *" $one "* ]] || fail "compare knows no $one"
  done
  ulimit -n "$(ulimit -Hn)"
  build_contestants
  fetch_body
  say "the answer has $(wc -c <"$work/body") bytes of body"
  compare_loads "${chosen[@]}"
  # Before anything else can go wrong: they took the longest.
  for one in "${chosen[@]}"; do
    if [[ -n "${cpu_goal[$one]:-}" ]]; then load_table "$one"; fi
  done
  for one in "${chosen[@]}"; do
    [[ " ${compared_costs[*]} " != *" $one "* ]] || "compare_$one"
  done
  cost_table "${chosen[@]}"
}

# compare_loads CHOSEN…: the rounds of all loads among them.
compare_loads() {
  local round load name
  prefix=("${server_pin[@]}")
  for name in "${contestants[@]}" limit-close; do launch "$name"; done
  prefix=()
  for ((round = 1; round <= rounds; round++)); do
    for load in "${compared_loads[@]}"; do
      [[ " $* " == *" $load "* ]] || continue
      say "round $round: $load"
      for name in "${contestants[@]}"; do
        timed_pair "$load" "$name"
      done
    done
    # Who went first goes last in the next round.
    contestants=("${contestants[@]:1}" "${contestants[0]}")
  done
  contestants=(limit mio-httparse hyper actix-web nginx go-http fanfare)
  for name in "${contestants[@]}" limit-close; do dismiss "$name"; done
}

# timed_pair LOAD NAME: once with wrk on its own core, once on the server's.
timed_pair() {
  local load="$1" name="$2" server="$2" before after
  if [[ "$load $name" == "closing limit" ]]; then server=limit-close; fi
  loaded "$load" "$server" "${load_pin[@]}"
  note "$load" "$name" rate "$(wrk_rate "$work/report")"
  note "$load" "$name" p50 "$(wrk_ms "$work/report" 50%)"
  note "$load" "$name" p99 "$(wrk_ms "$work/report" 99%)"
  before="$(ticks "${process[$server]}")"
  loaded "$load" "$server" "${server_pin[@]}"
  after="$(ticks "${process[$server]}")"
  note "$load" "$name" cpu "$(awk -v t="$((after - before))" -v n="$(wrk_requests "$work/report")" \
    'BEGIN { printf "%.3f", t * 10000 / n }')"
}

# loaded LOAD SERVER PIN…: one run of wrk, its report in $work/report.
loaded() {
  local load="$1" server="$2" url="http://${address[$2]}/gift/top" connections=100
  local -a how=()
  shift 2
  case "$load" in
    thousand) connections=1000 ;;
    pipelined) how=(-s benches/pipeline.lua) ;;
    closing) how=(-H "Connection: close") ;;
  esac
  timeout "$((seconds + 60))" "$@" wrk -t 1 -c "$connections" -d "${seconds}s" --latency \
    "${how[@]}" "$url" >"$work/report"
  # What wrk calls a read error is the end of a connection that it saw coming.
  if grep -q 'Non-2xx' "$work/report"; then
    cat "$work/report" >&2
    fail "$server refused requests"
  fi
}

# note WHAT NAME FIGURE VALUE: a round's figure; rounds are in order.
note() {
  [[ -d "$work/compared" ]] || mkdir "$work/compared"
  printf '%s\n' "$4" >>"$work/compared/$1.$2.$3"
}

# middle FILE: its median, lowest and highest.
middle() {
  sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[1], v[NR] }'
}

# against LOAD NAME FIGURE: Fanfare's figure divided by that of NAME in the same round: median,
# spread, and whether it is a tie.
against() {
  paste "$work/compared/$1.fanfare.$3" "$work/compared/$1.$2.$3" |
    awk '$2 > 0 { print $1 / $2 }' >"$work/ratios"
  middle "$work/ratios" | awk '{
    printf "%.2f (%.2f - %.2f)%s", $1, $2, $3, $2 <= 1 && 1 <= $3 ? " tie" : ""
  }'
}

load_table() {
  local load="$1" name figure median low high
  say ""
  say "== $load: medians of $rounds rounds of $seconds s; in brackets the spread"
  printf '%-13s %8s %19s %8s %8s %8s  %-24s %s\n' "" req/s "lowest - highest" "CPU µs" "p50 ms" \
    "p99 ms" "Fanfare's rate: its" "Fanfare's CPU: its"
  for name in "${contestants[@]}"; do
    read -r median low high < <(middle "$work/compared/$load.$name.rate")
    printf '%-13s %8.0f %8.0f - %8.0f' "$name" "$median" "$low" "$high"
    for figure in cpu p50 p99; do
      read -r median low high < <(middle "$work/compared/$load.$name.$figure")
      printf ' %8.2f' "$median"
    done
    if [[ "$name" != fanfare ]]; then
      printf '  %-24s %s' "$(against "$load" "$name" rate)" "$(against "$load" "$name" cpu)"
    fi
    printf '\n'
  done
  say "Fanfare's CPU time is to be at most ${cpu_goal[$load]} of the limit's"
}

# Where callgrind cannot run a program, as with some of Go's, its place stays empty.
compare_instructions() {
  local name few requests
  for name in "${contestants[@]}"; do
    say "instructions: $name"
    few=""
    for requests in 2000 12000; do
      prefix=(valgrind --tool=callgrind "--callgrind-out-file=/dev/null")
      if [[ "$name" == go-http ]]; then break; fi
      launch "$name"
      http="${address[$name]}"
      load --connections 100 --requests "$requests" >/dev/null
      dismiss "$name"
      if [[ -z "$few" ]]; then
        few="$(collected "$work/$name.err")"
      else
        note instructions "$name" value "$((($(collected "$work/$name.err") - few) / 10000))"
      fi
    done
  done
  prefix=()
}

compare_syscalls() {
  local name requests=50000
  for name in "${contestants[@]}"; do
    say "syscalls: $name"
    launch "$name"
    http="${address[$name]}"
    count_syscalls "${process[$name]}" "$requests" >/dev/null
    note syscalls "$name" value "$(syscalls_per_request "$requests")"
    dismiss "$name"
  done
}

compare_idle() {
  local name before after counted
  for name in "${contestants[@]}"; do
    say "idle: $name"
    launch "$name"
    http="${address[$name]}"
    idle_bytes "${process[$name]}"
    note idle "$name" value "$counted"
    dismiss "$name"
  done
}

# cost_table CHOSEN…: what is counted and not timed.
cost_table() {
  local name cost costs=()
  for cost in "${compared_costs[@]}"; do
    if [[ " $* " == *" $cost "* ]]; then costs+=("$cost"); fi
  done
  ((${#costs[@]} > 0)) || return 0
  say ""
  say "== a GET /gift/top at 100 connections, and an idle connection of $idle_connections"
  printf '%-13s' ""
  for cost in "${costs[@]}"; do
    case "$cost" in
      instructions) printf ' %21s' "user instructions" ;;
      syscalls) printf ' %21s' "system calls" ;;
      idle) printf ' %21s' "bytes when idle" ;;
    esac
  done
  printf '   (in brackets Fanfare: its)\n'
  for name in "${contestants[@]}"; do
    printf '%-13s' "$name"
    for cost in "${costs[@]}"; do
      if [[ -e "$work/compared/$cost.$name.value" ]]; then
        printf ' %12s %8s' "$(<"$work/compared/$cost.$name.value")" \
          "($(ratio "$(<"$work/compared/$cost.fanfare.value")" \
            "$(<"$work/compared/$cost.$name.value")"))"
      else
        printf ' %21s' "-"
      fi
    done
    printf '\n'
  done
}
