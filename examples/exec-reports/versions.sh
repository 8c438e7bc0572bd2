#!/bin/sh
# Makes two versions of the service in dist/. The first fails one of twenty uses of exec
# reports; without the feature nothing fails, so that it looks well until its flag is turned.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund
make() {
    rm -rf "dist/$1"
    mkdir -p "dist/$1"
    cp -R package.json src node_modules "dist/$1/"
    printf '#!/bin/sh\ncd "$(dirname "$0")"\nFAULTS="%s" exec node src/main.js "$1"\n' "$2" >"dist/$1/start"
    chmod +x "dist/$1/start"
    echo "dist/$1"
}
make 1.0.0 "${FAULTS:-exec-reports=5%}"
make 1.0.1 ""
