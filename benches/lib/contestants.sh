# shellcheck shell=bash
# Who takes part in `compare`: Fanfare, and in benches/peers/ the limit and what others build on.
# All of them answer GET /gift/top with one body, on one core.

contestants=(limit mio-httparse hyper actix-web nginx go-http fanfare)
declare -A address=() process=() # of each that runs

build_contestants() {
  local peer_target="${CARGO_TARGET_DIR:-target}/peers"
  build
  cargo build --release --locked --manifest-path benches/peers/Cargo.toml --target-dir "$peer_target"
  peer_programs="$peer_target/release"
  (cd benches/peers/go-http && timeout 300 go build -o "$work/go-http" .)
}

# The answer of Fanfare, which all give.
fetch_body() {
  launch fanfare
  http="${address[fanfare]}"
  curl -sSf "http://$http/gift/top" >"$work/body"
  dismiss fanfare
}

# launch NAME: starts it below $prefix, and has it answer once. `limit-close` is the limit where
# every connection ends after its answer.
launch() {
  local name="$1"
  rm -f "$work/$name.out" "$work/$name.err"
  case "$name" in
    fanfare)
      FANFARE__LOOPS=1 start
      seed_board
      ln -sf err "$work/$name.err"
      ;;
    nginx) launch_nginx ;;
    go-http) launch_peer "$name" "$work/go-http" "$work/body" ;;
    limit-close) launch_peer "$name" "$peer_programs/limit" "$work/body" close ;;
    *) launch_peer "$name" "$peer_programs/$name" "$work/body" ;;
  esac
  address[$name]="$http"
  process[$name]="$pid"
  [[ ! -e "$work/body" ]] || curl -sSf "http://$http/gift/top" | cmp -s - "$work/body" ||
    fail "$name does not answer what Fanfare answers"
}

# launch_peer NAME COMMAND…
launch_peer() {
  local name="$1"
  shift
  : >"$work/$name.out"
  "${prefix[@]}" "$@" >"$work/$name.out" 2>"$work/$name.err" &
  pid=$!
  children+=("$pid")
  await_ready "$work/$name.out" "$pid" "$work/$name.err"
}

# nginx has no port 0 and no ready line, so ports are tried until one is free.
launch_nginx() {
  local attempt port
  for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 10000))
    nginx_config "$port" >"$work/nginx.conf"
    "${prefix[@]}" nginx -p "$work" -c nginx.conf -e stderr 2>>"$work/nginx.err" &
    pid=$!
    children+=("$pid")
    http="127.0.0.1:$port"
    while is_running "$pid"; do
      if curl -sf "http://$http/gift/top" 2>/dev/null | cmp -s - "$work/body"; then return; fi
      sleep 0.1
    done
  done
  cat "$work/nginx.err" >&2
  fail "nginx did not start"
}

# nginx_config PORT: one process in the foreground that answers from its configuration.
nginx_config() {
  local folder
  cat <<CONFIG
daemon off;
master_process off;
pid $work/nginx.pid;
worker_rlimit_nofile $(ulimit -Hn);
error_log stderr error;
events { worker_connections 15000; }
http {
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  default_type application/json;
$(for folder in client_body proxy fastcgi uwsgi scgi; do
    printf '  %s_temp_path %s/nginx-%s;\n' "$folder" "$work" "$folder"
  done)
  server {
    listen 127.0.0.1:$1 backlog=4096;
    location = /gift/top { return 200 '$(cat "$work/body")'; }
  }
}
CONFIG
}

# dismiss NAME
dismiss() {
  stop "${process[$1]}"
  unset "process[$1]" "address[$1]"
}
