# Sourced by the other scripts: where builds and tools live, and how Debian packages are installed.
# shellcheck shell=bash

set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/company-store
# Outside the clone, so that a second clone builds only what differs.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export COMPANY_STORE_TOOLS=${COMPANY_STORE_TOOLS:-$cache/tools}
export PATH="$COMPANY_STORE_TOOLS/bin:$PATH"
cd "$project"

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\nFAILED: %s\n' "$*" >&2
    exit 1
}

# install_packages NAME...: installs the Debian packages that are missing, after saying which.
install_packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing Debian packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "these Debian packages are missing and there is no sudo to install them: ${missing[*]}"
        as_root=(sudo)
    fi
    # Debian's own server cluster is not needed: the store and the tests start private ones.
    if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        "${as_root[@]}" mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    "${as_root[@]}" apt-get update -qq || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "could not install the Debian packages ${missing[*]}; install them by hand and run this again"
}

# What building needs beside Rust: a C compiler for the cryptography and compression libraries.
build_packages=(build-essential cmake pkg-config ca-certificates)

require_rust() {
    command -v cargo >/dev/null || fail "Rust is missing: install it with rustup (https://rustup.rs) and run this again"
}
