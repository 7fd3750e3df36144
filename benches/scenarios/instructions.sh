# shellcheck shell=bash
scenario instructions "user instructions per GET /gift/top, by callgrind"

# instructions_of CONNECTIONS REQUESTS: sets counted to what a whole life with so many takes.
instructions_of() {
  prefix=(valgrind --tool=callgrind "--callgrind-out-file=$work/callgrind.$2")
  FANFARE__LOOPS=1 start
  seed_board
  load --connections "$1" --requests "$2"
  stop_server
  prefix=()
  counted="$(collected "$work/err")"
}

# One connection: each request has a turn of the loop to itself, so the count repeats. A hundred:
# as under load, where requests share a turn.
instructions() {
  local connections few counted
  need valgrind valgrind
  build
  for connections in 1 100; do
    instructions_of "$connections" 2000
    few="$counted"
    instructions_of "$connections" 12000
    record "instructions, $connections conn." value "$(((counted - few) / 10000))"
  done
}
