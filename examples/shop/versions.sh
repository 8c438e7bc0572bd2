#!/bin/sh
# Makes three versions of a small shop in dist/. The third one fails a share of its
# requests once users reach it; its health check stays green.
set -eu
app=$(command -v esclusa-demo-app) || {
    echo "esclusa-demo-app is not on the PATH: cargo build --workspace, then add target/debug" >&2
    exit 1
}
make() {
    mkdir -p "dist/$1"
    printf '#!/bin/sh\nexec %s --port "$1" --version-name %s %s\n' "$app" "$1" "$2" >"dist/$1/start"
    chmod +x "dist/$1/start"
    echo "dist/$1/start"
}
make 1.0.0 ""
make 2.0.0 ""
make 3.0.0 "--behaviour failing --fail-rate 0.6"
