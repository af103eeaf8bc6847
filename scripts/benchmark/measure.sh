# Sourced by scripts/bench: servers, timing, and the parts of the measurement.
# shellcheck shell=bash

source_registry=127.0.0.1:5491
target_registry=127.0.0.1:5492
store_url=http://127.0.0.1:8491

# start_server NAME LOG COMMAND...
start_server() {
    local name=$1 log=$2
    shift 2
    setsid "$@" >"$log" 2>&1 </dev/null &
    echo $! >"$home/$name.pid"
}

stop_server() {
    local pid
    [ -f "$home/$1.pid" ] || return 0
    pid=$(cat "$home/$1.pid")
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm -f "$home/$1.pid"
}

stop_all() { for name in store source target; do stop_server "$name"; done; }

answers() {
    local attempt
    for attempt in $(seq 1 600); do
        curl --silent --fail --output /dev/null "$1" && return 0
        sleep 0.1
    done
    fail "nothing answers at $1"
}

# start_registry_at NAME ADDRESS: a docker-registry on its own folder, with an access log that counts bytes.
start_registry_at() {
    mkdir -p "$home/$1"
    cat >"$home/$1.yml" <<YAML
version: 0.1
log: { level: info, formatter: json, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $home/$1 } }
http: { addr: $2 }
YAML
    start_server "$1" "$home/$1.log" docker-registry serve "$home/$1.yml"
    answers "http://$2/v2/"
}

# blob_bytes_since LINE: bytes of blobs that the source registry has served after that line of its log.
blob_bytes_since() {
    tail -n "+$(($1 + 1))" "$home/source.log" |
        python3 -c 'import json, sys
total = 0
for line in sys.stdin:
    try: entry = json.loads(line)
    except ValueError: continue
    if entry.get("msg") == "response completed" and entry.get("http.request.method") == "GET" and "/blobs/" in entry.get("http.request.uri", ""):
        total += entry.get("http.response.written", 0)
print(total)'
}

start_empty_store() {
    stop_server store
    rm -rf "$home/store"
    start_server store "$home/store.log" "$store" up --data "$home/store" --listen 127.0.0.1:8491
    answers "$store_url/readyz"
}

start_fresh_store() {
    start_empty_store
    $store login --server "$store_url" --email superuser@company-store.local --password-file "$home/store/secrets/superuser-password" >/dev/null
    $store registry add "$source_registry/bench/*" >/dev/null
}

now() { date +%s%N; }
seconds_since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.3f\n", (to - from) / 1e9 }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# publish SIZE VERSION: seconds from the publish call to the verdict.
publish() {
    local begun status=0
    bench_manifest "$1" "$2" >"$home/manifest.json"
    begun=$(now)
    $store --json publish "$source_registry/bench/module-$1:$2" --manifest "$home/manifest.json" --watch >"$home/intake.json" || status=$?
    seconds_since "$begun"
    [ "$status" -eq 0 ] || fail "the intake of module-$1 $2 ended with $status: $(tail -c 2000 "$home/intake.json")"
}

copy_with_skopeo() {
    local begun
    stop_server target
    rm -rf "$home/target"
    start_registry_at target "$target_registry"
    begun=$(now)
    skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false \
        "docker://$source_registry/bench/module-$1:1.0.0" "docker://$target_registry/bench/module-$1:1.0.0"
    seconds_since "$begun"
}

measure_intake() {
    start_registry_at source "$source_registry"
    say "Whole intake (publish call to signed verdict) beside skopeo copy; medians of $runs runs"
    printf '%8s %12s %10s %10s %8s %12s %14s %14s %10s\n' size bytes skopeo intake ratio next_version source_bytes next_bytes peak_rss
    local size run line
    for size in $sizes; do
        bench_image "$size"
        : >"$home/skopeo.times" && : >"$home/intake.times" && : >"$home/next.times"
        for run in $(seq 1 "$runs"); do
            copy_with_skopeo "$size" >>"$home/skopeo.times"
            stop_server target
            start_fresh_store
            line=$(wc -l <"$home/source.log")
            publish "$size" 1.0.0 >>"$home/intake.times"
            source_bytes=$(blob_bytes_since "$line")
            line=$(wc -l <"$home/source.log")
            publish "$size" 1.0.1 >>"$home/next.times"
            next_bytes=$(blob_bytes_since "$line")
            peak=$(awk '/VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$(cat "$home/store.pid")/status")
        done
        skopeo_median=$(median <"$home/skopeo.times")
        intake_median=$(median <"$home/intake.times")
        printf '%8s %12s %10s %10s %8s %12s %14s %14s %7s MB\n' "$size" "$image_bytes" "$skopeo_median" "$intake_median" \
            "$(awk -v a="$intake_median" -v b="$skopeo_median" 'BEGIN { printf "%.2f", a / b }')" \
            "$(median <"$home/next.times")" "$source_bytes" "$next_bytes" "$peak"
    done
    stop_all
}

# in_database: carries out the SQL on standard input and prints bare values.
in_database() {
    local database
    database=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["database_url"])' "$home/store/run.json")
    psql --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$database"
}

# What is measured is how fast the store can answer, not how often one address may ask. The API follows within seconds.
ask_without_limit() {
    in_database <<<"INSERT INTO store_settings (key, value) VALUES ('policy', '{\"limits\": {\"requests\": {\"per_address\": null}}}')
        ON CONFLICT (key) DO UPDATE SET value = store_settings.value || excluded.value"
    while curl --silent --dump-header - --output /dev/null "$store_url/v1/packages" | grep --quiet --ignore-case '^ratelimit:'; do
        sleep 1
    done
}

# requests_per_second URL
requests_per_second() { wrk --threads 1 --connections 16 --duration 5s "$1" | awk '/Requests\/sec/ { print $2 }'; }

measure_read() {
    start_registry_at source "$source_registry"
    start_fresh_store
    say "Reads with 20,000 generated packages, beside a fixed body from the same server (requests per second)"
    local fixed url rate
    in_database <scripts/benchmark/packages.sql
    ask_without_limit
    fixed=$(requests_per_second "$store_url/livez")
    printf '%-44s %10s %8s\n' path rate ratio
    for url in /livez /index.json '/v1/packages?limit=20' '/v1/packages?q=invoice&limit=20' '/v1/packages?q=pack19&limit=20' '/'; do
        # The first request after the packages changed renders the index anew.
        curl --silent --fail --output /dev/null "$store_url$url"
        rate=$(requests_per_second "$store_url$url")
        printf '%-44s %10s %8s\n' "$url" "$rate" "$(awk -v a="$rate" -v b="$fixed" 'BEGIN { printf "%.3f", a / b }')"
    done
    stop_all
}

measure_rejudge() {
    start_empty_store
    say "Judging 20,000 generated versions with 100 components each by changed advisories; no source registry runs"
    in_database <scripts/benchmark/rejudge.sql
    local begun
    begun=$(now)
    # As a load does when it is complete: the snapshot is in use, and the worker is told.
    in_database <<'SQL'
BEGIN;
UPDATE advisory_snapshots SET is_complete = true WHERE source = 'generated';
INSERT INTO jobs (id, kind, payload, dedup_key)
VALUES (gen_random_uuid(), 'rejudgement', '{"kind": "rejudgement"}', 'rejudgement');
COMMIT;
SQL
    while [ "$(echo "SELECT count(*) FROM jobs WHERE kind = 'rejudgement'" | in_database)" != 0 ]; do sleep 0.05; done
    printf 'seconds %s\n' "$(seconds_since "$begun")"
    grep --only-matching 'judged stored versions.*' "$home/store.log" || fail "the job did not end well: $(tail -5 "$home/store.log")"
    echo "SELECT state || ' ' || count(*) FROM versions GROUP BY state ORDER BY state" | in_database
    echo "SELECT 'verdicts added ' || count(*) FROM verdicts WHERE advisory_snapshot IS NOT NULL" | in_database
    stop_all
}
