#!/usr/bin/env bash
# Sends what the OpenAPI documents of both listeners allow, and what they do not, to a server of its
# own: no server error, no status, media type or schema that is not documented.
#   tests/schemathesis.sh [EXAMPLES per call, 20 unless told]
# Needs python3 with venv; schemathesis is installed under target/, once.
set -euo pipefail
cd "$(dirname "$0")/.."
examples="${1:-20}"
version="4.32.5"
target="${CARGO_TARGET_DIR:-target}"
venv="$target/schemathesis-$version"

command -v python3 >/dev/null || {
    echo "python3 is missing: apt-get install python3-venv" >&2
    exit 1
}
if [[ ! -x "$venv/bin/schemathesis" ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi
cargo build --locked --bin fanfare

work="$(mktemp -d)"
server=""
cleanup() {
    [[ -z "$server" ]] || kill "$server" 2>/dev/null || true
    [[ -z "$server" ]] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

FANFARE__TLV__LISTEN=127.0.0.1:0 FANFARE__ADMIN__LISTEN=127.0.0.1:0 \
    "$target/debug/fanfare" serve --dev --listen 127.0.0.1:0 --data "$work/data" >"$work/log" &
server=$!
for _ in $(seq 600); do
    ready="$(grep -m 1 '^fanfare ready ' "$work/log" || true)"
    [[ -z "$ready" ]] || break
    kill -0 "$server" || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
address() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$ready"; }

# Streams do not end, and profiles take their time. A path in the document may belong to the other
# listener, so the operator's run takes its own calls alone.
checks="not_a_server_error,status_code_conformance,content_type_conformance"
checks="$checks,response_headers_conformance,response_schema_conformance"
check() {
    local url="http://$1"
    shift
    echo "== $url, $examples examples a call"
    # From within the folder of the run: it keeps its examples beside it.
    (cd "$work" && "$venv/bin/schemathesis" --config-file "$config" run "$url/openapi.json" --url "$url" \
        --checks "$checks" --max-examples "$examples" --mode all --continue-on-failure \
        --exclude-path-regex '/stream$|/debug/pprof/(profile|flamegraph)$' \
        --request-timeout 30 --no-color "$@")
}
venv="$(cd "$venv" && pwd)"
config="$PWD/tests/schemathesis.toml"
check "$(address http)"
check "$(address admin)" --include-tag operator
