#!/bin/sh
# The whole story in one command: a service, its flags, a rollout that fails and comes back by
# itself, one that goes well, and an emergency.
#
# It needs `esclusa` on the PATH, Node and npm, and the ports 7300, 8016 and 8080.
set -eu
cd "$(dirname "$0")"
command -v esclusa >/dev/null || {
    echo "esclusa is not on the PATH: cargo build --workspace, then add target/debug" >&2
    exit 1
}
data=$(mktemp -d "${TMPDIR:-/tmp}/exec-reports.XXXXXX")
export ESCLUSA_SERVER=http://127.0.0.1:7300
serve=
load=

say() {
    printf '\n== %s\n' "$*"
}

finish() {
    code=$?
    trap - EXIT INT TERM
    if [ -n "$load" ]; then
        kill "$load" 2>/dev/null || true
        wait "$load" 2>/dev/null || true
    fi
    if [ -n "$serve" ]; then
        kill "$serve" 2>/dev/null || true
        wait "$serve" 2>/dev/null || true
    fi
    stop_what_runs
    rm -rf "$data"
    exit "$code"
}

# Ends whatever was started from the data folder, and nothing else: the proxy and the versions
# outlive the control plane, as they should.
stop_what_runs() {
    for signal in TERM TERM KILL; do
        left=
        for entry in /proc/[0-9]*; do
            pid=${entry#/proc/}
            [ "$pid" = "$$" ] && continue
            if { tr '\0' '\n' <"$entry/cmdline"; readlink "$entry/cwd"; } 2>/dev/null |
                grep -qF "$data"; then
                left=yes
                kill -s "$signal" "$pid" 2>/dev/null || true
            fi
        done
        [ -z "$left" ] && break
        sleep 1
    done
}

# Runs a command, and ends everything when its exit code is another than expected.
expect() {
    expected=$1
    shift
    printf '$ %s\n' "$*"
    code=0
    "$@" || code=$?
    if [ "$code" != "$expected" ]; then
        echo "exit code $code, $expected was expected" >&2
        exit 1
    fi
}

# What a tenant is answered: ask METHOD PATH TENANT
ask() {
    printf '$ %s %s as %s\n' "$1" "$2" "$3"
    curl -s -m 10 -X "$1" -H "x-tenant-id: $3" -w '  (%{http_code})\n' "http://127.0.0.1:8080$2"
}

trap finish EXIT
trap 'exit 130' INT TERM

say "Two versions of the service; the first has a fault in exec reports"
./versions.sh

say "The control plane and its proxy, which also answers flags"
esclusa serve --dev --data "$data" >"$data/serve.log" 2>&1 &
serve=$!
tries=0
until grep -q '^ready' "$data/serve.log"; do
    tries=$((tries + 1))
    if ! kill -0 "$serve" 2>/dev/null || [ "$tries" -gt 600 ]; then
        cat "$data/serve.log" >&2
        exit 1
    fi
    sleep 0.1
done

say "The flags: all six are off for all thousand tenants"
expect 0 esclusa flag apply flags.json --yes --reason "the six flags of reports"

say "Version 1.0.0 is released: as long as its flags are off, nothing fails"
expect 0 esclusa release start --version 1.0.0 --wait --timeout 10m
ask POST /modules/7/execute tenant-0001
ask GET /reports/exec/main tenant-0001
ask POST /reports/master/main/generate tenant-0001
node load.js http://127.0.0.1:8080 "${RATE:-150}" &
load=$!

say "The flags are turned: team, 5 %, 25 %, 50 %, 100 %. One of twenty uses fails"
expect 3 esclusa release start --plan rollout.yaml --wait --timeout 15m
ask GET /reports/exec/main tenant-0001

say "Version 1.0.1 has the fault no more; the same rollout goes to the end"
expect 0 esclusa release start --version 1.0.1 --wait --timeout 10m
expect 0 esclusa release start --plan rollout.yaml --wait --timeout 15m
ask POST /modules/7/execute tenant-0001
ask GET /reports/exec/main tenant-0001

say "An emergency: exec reports are off for everybody, and what needs them"
expect 0 esclusa kill exec-reports --reason "rehearsal"
ask POST /modules/7/execute tenant-0001
ask POST /reports/master/main/generate tenant-0001
expect 0 esclusa flag history --limit 5

say "What the load saw"
kill "$load"
wait "$load" || true
load=
say "Done"
