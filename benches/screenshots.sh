#!/usr/bin/env bash
# Takes the pictures of README anew, from `fanfare serve --demo` in a real Chromium, while its rain
# falls. Look at them before you commit them. FANFARE_BENCH_SERVER names another binary than the release
# build, FANFARE_SCREENSHOTS another folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target="${CARGO_TARGET_DIR:-target}"
program="${FANFARE_BENCH_SERVER:-}"
if [[ -z "$program" ]]; then
  cargo build --release --locked
  program="$target/release/fanfare"
fi
cargo build --example screenshots --locked
folder="${FANFARE_SCREENSHOTS:-src/web/screenshots}"
mkdir -p "$folder"

export FANFARE__HTTP__LISTEN=127.0.0.1:0 FANFARE__TLV__LISTEN=127.0.0.1:0 FANFARE__ADMIN__LISTEN=127.0.0.1:0
# Not a coprocess, whose pipe a command in the background does not have.
exec {said}< <(exec "$program" serve --demo)
server_id=$!
trap 'kill "$server_id"' EXIT
http=""
while [[ -z "$http" ]] && read -r line <&"$said"; do
  [[ "$line" == "fanfare ready "* ]] && http="$(sed 's/.*http=\([^ ]*\).*/\1/' <<<"$line")"
done
cat <&"$said" >/dev/null & # what it logs must not fill the pipe

# The rates of the last minute are those that somebody followed.
curl -sN "http://$http/live/stream" >/dev/null &
follower_id=$!
trap 'kill "$server_id" "$follower_id"' EXIT
until curl -s "http://$http/rain" | grep -q '"state":"running"'; do sleep 1; done
sleep "${FANFARE_SCREENSHOTS_AFTER_S:-75}" # so that there is a curve and a minute of rates
"$target/debug/examples/screenshots" "$http" "$folder"
ls -l "$folder"
