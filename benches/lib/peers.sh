# shellcheck shell=bash
# What Fanfare is measured against: Redis, and programs in benches/peers/.

redis_port=""
peers=() # processes of the peer

# There is no port 0 for Redis, so ports are tried until one is free.
start_redis() {
  local attempt port redis
  for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 10000))
    "${server_pin[@]}" redis-server --bind 127.0.0.1 --port "$port" --dir "$work" --save '' \
      --appendonly no >"$work/redis.$attempt" 2>&1 &
    redis=$!
    children+=("$redis")
    while is_running "$redis"; do
      if grep -q 'Ready to accept connections' "$work/redis.$attempt"; then
        redis_port="$port"
        peers=("$redis")
        return
      fi
      sleep 0.05
    done
  done
  fail "redis-server did not start"
}

# start_go_peer NAME ARGUMENT…: builds benches/peers/NAME; sets http to its address.
start_go_peer() {
  local name="$1" peer
  shift
  say "building benches/peers/$name"
  (cd "benches/peers/$name" && timeout 300 go build -o "$work/$name" .)
  : >"$work/peer"
  "${server_pin[@]}" "$work/$name" "$@" >"$work/peer" 2>"$work/err" &
  peer=$!
  children+=("$peer")
  peers+=("$peer")
  await_ready "$work/peer" "$peer"
}
