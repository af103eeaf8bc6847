# Sourced by scripts/bench: the same images by `skopeo copy` and Trivy, and by `skopeo copy`, Syft and Trivy.
# shellcheck shell=bash

# A database of few advisories: a full one makes Trivy slower, never faster.
scanner_database() {
    [ -f "$images/trivy/db/trivy.db" ] && return 0
    cat >"$images/advisories.json" <<'JSON'
[{"id": "CVE-2024-56201", "ecosystem": "PyPI", "release": "", "package": "jinja2", "ranges": [{"introduced": "0", "fixed": "3.1.5"}]},
 {"id": "CVE-2024-28180", "ecosystem": "npm", "release": "", "package": "semver", "ranges": [{"introduced": "0", "fixed": "5.7.2"}]},
 {"id": "CVE-2023-45853", "ecosystem": "Debian", "release": "12", "package": "zlib", "ranges": [{"introduced": "0", "fixed": ""}]}]
JSON
    scanner-databases "$images/advisories.json" "$images/trivy" "$images/grype"
}

# trivy_image CACHE REFERENCE: vulnerabilities and secrets, Trivy's default.
trivy_image() {
    trivy image --quiet --insecure --scanners "$3" --skip-db-update --skip-java-db-update --skip-version-check --offline-scan \
        --cache-dir "$1" --format json --output "$home/trivy.json" "$2"
}

# fresh_trivy_cache: the database without any layer that Trivy has seen.
fresh_trivy_cache() {
    rm -rf "$home/trivy"
    mkdir -p "$home/trivy"
    cp -r "$images/trivy/db" "$home/trivy/db"
}

syft_image() {
    SYFT_CHECK_FOR_APP_UPDATE=false SYFT_REGISTRY_INSECURE_USE_HTTP=true syft scan "registry:$1" --quiet --output "syft-json=$home/syft.json"
}

# timed COMMAND...: its seconds.
timed() {
    local begun
    begun=$(now)
    "$@" >"$home/timed.log" 2>&1 || fail "$*: $(tail -c 1000 "$home/timed.log")"
    seconds_since "$begun"
}

sum() { awk '{ s = 0; for (i = 1; i <= NF; i++) s += $i; printf "%.3f", s }'; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

measure_scanners() {
    for tool in trivy syft scanner-databases; do
        command -v "$tool" >/dev/null || fail "$tool is missing; tests/interop/install-tools.sh $tool installs it"
    done
    start_registry_at source "$source_registry"
    scanner_database
    say "Whole intake beside today's ways; medians of $runs runs, in seconds"
    printf '%8s %8s %8s %8s %8s %8s %12s %16s %14s %12s\n' size copy trivy syft vuln intake copy+trivy copy+syft+trivy next_copy+trivy next_intake
    local size run column reference
    for size in $sizes; do
        bench_image "$size"
        reference=$source_registry/bench/module-$size
        for column in copy trivy syft vuln intake next nextcopy nexttrivy; do : >"$home/$column.times"; done
        for run in $(seq 1 "$runs"); do
            copy_with_skopeo "$size" >>"$home/copy.times"
            fresh_trivy_cache
            timed trivy_image "$home/trivy" "$reference:1.0.0" vuln,secret >>"$home/trivy.times"
            timed copy_next "$size" >>"$home/nextcopy.times"
            timed trivy_image "$home/trivy" "$reference:1.0.1" vuln,secret >>"$home/nexttrivy.times"
            stop_server target
            timed syft_image "$reference:1.0.0" >>"$home/syft.times"
            fresh_trivy_cache
            timed trivy_image "$home/trivy" "$reference:1.0.0" vuln >>"$home/vuln.times"
            start_fresh_store
            publish "$size" 1.0.0 >>"$home/intake.times"
            publish "$size" 1.0.1 >>"$home/next.times"
        done
        scanner_row "$size"
    done
    stop_all
}

# The second column of ratios leaves Trivy's secrets out, as the way with Syft does.
scanner_row() {
    local column copy trivy syft vuln intake next next_old
    for column in copy trivy syft vuln intake next; do declare "$column=$(median <"$home/$column.times")"; done
    next_old=$(echo "$(median <"$home/nextcopy.times") $(median <"$home/nexttrivy.times")" | sum)
    printf '%8s %8s %8s %8s %8s %8s %11sx %15sx %14s %12s\n' "$1" "$copy" "$trivy" "$syft" "$vuln" "$intake" \
        "$(quotient "$(echo "$copy $trivy" | sum)" "$intake")" "$(quotient "$(echo "$copy $syft $vuln" | sum)" "$intake")" "$next_old" "$next"
}

copy_next() {
    skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false \
        "docker://$source_registry/bench/module-$1:1.0.1" "docker://$target_registry/bench/module-$1:1.0.1"
}
