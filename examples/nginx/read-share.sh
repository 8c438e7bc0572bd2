#!/bin/sh
# Prints the share that nginx serves by now, as nginx itself says it.
set -eu
curl --silent --show-error --fail --max-time 5 "http://${NGINX_ADDRESS:-127.0.0.1:8080}/esclusa-share"
