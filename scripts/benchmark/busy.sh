# Sourced by scripts/bench: ten intakes at once, their memory, and publish calls meanwhile.
# shellcheck shell=bash

busy_intakes=10

# busy_images: bench/busy-1 … busy-10, of about 50 MB each, without a large layer in common.
busy_images() {
    local number
    work=$images
    node_layer
    [ -f "$images/base.tar.gz" ] || base_layer "$images/base.tar.gz"
    for number in $(seq 1 "$busy_intakes"); do
        if [ ! -f "$images/busy-$number.tar.gz" ]; then
            rm -rf "$images/busy-root" && mkdir -p "$images/busy-root/srv"
            tar --extract --directory "$images/busy-root" --file "$images/node.tar.gz"
            echo "$number" >"$images/busy-root/srv/.number"
            # The number comes first, so that the whole compressed stream differs.
            tar --create --directory "$images/busy-root" --mtime=@1700000000 --owner=0 --group=0 --numeric-owner --format=gnu \
                ./srv/.number --exclude=./srv/.number . | gzip --no-name -1 >"$images/busy-$number.tar.gz"
            rm -rf "$images/busy-root"
        fi
        bench_module_layer "busy-$number" 1.0.0 "$images/module-busy-$number.tar.gz"
        rm -rf "$images/layout"
        oci_image 1.0.0 "$images/base.tar.gz" "$images/busy-$number.tar.gz" "$images/module-busy-$number.tar.gz"
        skopeo copy --quiet --dest-tls-verify=false "oci:$images/layout:1.0.0" "docker://$source_registry/bench/module-busy-$number:1.0.0"
    done
    rm -rf "$images/layout"
}

measure_busy() {
    start_registry_at source "$source_registry"
    busy_images
    bench_image 2 >/dev/null
    COMPANY_STORE_WORKER_CONCURRENCY=$busy_intakes start_fresh_store
    say "$busy_intakes intakes of 50 MB at once, and publish calls meanwhile"
    local number begun watchers=() organization latency
    organization=$($store --json whoami | python3 -c 'import json, sys; print(json.load(sys.stdin)["organizations"][0]["id"])')
    begun=$(now)
    for number in $(seq 1 "$busy_intakes"); do
        bench_manifest "busy-$number" 1.0.0 >"$home/busy-$number.json"
        $store --json publish "$source_registry/bench/module-busy-$number:1.0.0" --manifest "$home/busy-$number.json" --watch >"$home/busy-$number.out" 2>&1 &
        watchers+=($!)
    done
    bench_manifest 2 1.0.0 >"$home/manifest.json"
    latency=$(python3 scripts/benchmark/publish_latency.py "$store_url" superuser@company-store.local \
        "$home/store/secrets/superuser-password" "$organization" "$source_registry/bench/module-2:1.0.0" "$home/manifest.json" 300)
    for number in "${watchers[@]}"; do wait "$number" || fail "an intake did not end as active: $(cat "$home"/busy-*.out | tail -c 2000)"; done
    printf 'all decided after %s s; publish calls p50 and p99 in ms: %s; peak memory of the store %s MB\n' \
        "$(seconds_since "$begun")" "$latency" "$(awk '/VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$(cat "$home/store.pid")/status")"
    stop_all
}
