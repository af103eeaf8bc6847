# Sourced by scripts/demo: the source registry and the store as background services, and the steps that are long.
# shellcheck shell=bash

start_registry() {
    if curl --silent --fail --output /dev/null "http://$registry/v2/"; then
        echo "A registry already answers at $registry."
        return
    fi
    mkdir -p "$home/registry"
    cat >"$home/registry.yml" <<YAML
version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: $home/registry }, delete: { enabled: true } }
http: { addr: $registry }
YAML
    setsid docker-registry serve "$home/registry.yml" >"$home/registry.log" 2>&1 </dev/null &
    echo $! >"$home/registry.pid"
    wait_for "http://$registry/v2/" "$home/registry.log"
}

start_store() {
    if curl --silent --fail --output /dev/null "$store_url/readyz"; then
        echo "A store already answers at $store_url."
        return
    fi
    setsid "$store" up --data "$home/store" --listen "127.0.0.1:$store_port" >"$home/store.log" 2>&1 </dev/null &
    echo $! >"$home/store.pid"
    wait_for "$store_url/readyz" "$home/store.log"
}

wait_for() {
    local attempt
    for attempt in $(seq 1 300); do
        curl --silent --fail --output /dev/null "$1" && return 0
        sleep 0.2
    done
    tail -n 20 "$2" >&2
    fail "nothing answers at $1; the log is $2"
}

stop_services() {
    local name pid
    for name in store registry; do
        [ -f "$home/$name.pid" ] || continue
        pid=$(cat "$home/$name.pid")
        if kill -TERM "$pid" 2>/dev/null; then
            echo "Stopping the $name (process $pid)"
            while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
        fi
        rm -f "$home/$name.pid"
    done
}

make_images() {
    [ -f "$work/base.tar.gz" ] || base_layer "$work/base.tar.gz"
    [ -f "$work/wheel-vulnerable.tar.gz" ] || wheel_layer Jinja2==2.10 "$work/wheel-vulnerable.tar.gz"
    [ -f "$work/wheel-repaired.tar.gz" ] || wheel_layer jinja2==3.1.6 "$work/wheel-repaired.tar.gz"
    local version wheel
    for version in 1.0.0 1.0.1; do
        [ "$version" = 1.0.0 ] && wheel=wheel-vulnerable || wheel=wheel-repaired
        module_layer "$version" "$work/module-$version.tar.gz"
        oci_image "$version" "$work/base.tar.gz" "$work/$wheel.tar.gz" "$work/module-$version.tar.gz"
        skopeo copy --quiet --dest-tls-verify=false "oci:$work/layout:$version" "docker://$registry/acme/invoice-reader:$version"
        echo "$registry/acme/invoice-reader:$version  $(du -ch "$work/base.tar.gz" "$work/$wheel.tar.gz" | tail -1 | cut -f1)"
    done
}

# The same call that a CI system would make, with an access token from a login.
publish_repaired_through_api() {
    local token answer intake body
    token=$(curl --silent --fail --json "{\"email\":\"superuser@company-store.local\",\"password\":\"$(cat "$home/store/secrets/superuser-password")\"}" \
        "$store_url/v1/auth/login" | json_field access_token)
    local organization
    organization=$(curl --silent --fail -H "Authorization: Bearer $token" "$store_url/v1/auth/me" | json_field organization_id)
    body=$(printf '{"imageRef":"%s","scope":"public","orgId":"%s","manifest":%s}' \
        "$registry/acme/invoice-reader:1.0.1" "$organization" "$(module_manifest 1.0.1)")
    answer=$(curl --silent -H "Authorization: Bearer $token" -H "Idempotency-Key: demo-$(date +%s%N)" --json "$body" "$store_url/v1/modules/publish")
    if grep -q VERSION_EXISTS <<<"$answer"; then
        echo "1.0.1 is active since an earlier run; a version never changes, so the store refuses it with VERSION_EXISTS."
        return
    fi
    intake=$(json_field publishId <<<"$answer")
    [ -n "$intake" ] || fail "the store did not accept the repaired image: $answer"
    "$store" intake watch "$intake" || fail "the repaired image did not become active"
}

publish_template() {
    local answer
    if answer=$("$store" template publish examples/templates/software-studio.json --scope public --watch 2>&1); then
        echo "$answer"
    elif grep -q VERSION_EXISTS <<<"$answer"; then
        echo "The template is active since an earlier run."
    else
        fail "the template was not accepted: $answer"
    fi
}

# json_field NAME: the value of a text field of a small JSON document on standard input.
json_field() {
    sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" | head -1
}
