#!/bin/sh
# Turns nginx to ESCLUSA_SHARE percent of the clients on the new version. It writes one
# file and reloads; to repeat it changes nothing.
set -eu
folder=${NGINX_FOLDER:-/etc/nginx/esclusa}
key='${remote_addr}${http_user_agent}' # who stays together; a session cookie is better

group() { # a name and the addresses of its servers
    echo "upstream $1 {"
    for url in $2; do echo "    server ${url#http://};"; done
    echo "}"
}

stable=${ESCLUSA_STABLE_URLS:-$ESCLUSA_CANARY_URLS}
{
    group shop_stable "$stable"
    group shop_canary "$ESCLUSA_CANARY_URLS"
    case $ESCLUSA_SHARE_BP in
    0) echo 'map "" $shop_version { default shop_stable; }' ;;
    10000) echo 'map "" $shop_version { default shop_canary; }' ;;
    *) echo "split_clients \"$key\" \$shop_version { $ESCLUSA_SHARE% shop_canary; * shop_stable; }" ;;
    esac
    # What read-share.sh asks for: the share that nginx serves by, not the one in a file.
    echo "map \"\" \$shop_share { default \"$ESCLUSA_SHARE\"; }"
} >"$folder/split.conf.new"
mv "$folder/split.conf.new" "$folder/split.conf"
nginx -c "$folder/nginx.conf" -t -q
nginx -c "$folder/nginx.conf" -s reload
# A reload is over a moment later, and esclusa reads the share back at once.
tries=100
until [ "$("$(dirname "$0")/read-share.sh")" = "$ESCLUSA_SHARE%" ] || [ $((tries -= 1)) = 0 ]; do
    sleep 0.1
done
# Workers of before end what they have taken; a version that nobody needs may be stopped next.
sleep 1
