#!/usr/bin/env bash
# Installs the foreign tools that the interop tests hold the store against, each pinned, each once, into a cache outside
# the tree. With arguments only those tools. What cannot be installed is said loudly at the end and makes the exit code 1;
# the tests skip a missing tool as loudly.
#
#   tests/interop/install-tools.sh [versitygw] [crane] [cosign] [helm] [kubeconform]
set -uo pipefail

cache="${COMPANY_STORE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/company-store/tools}"
missing=()

main() {
    mkdir -p "$cache/bin"
    local tools=("$@")
    ((${#tools[@]})) || tools=(versitygw crane cosign helm kubeconform)
    for tool in "${tools[@]}"; do
        if ! declare -F "install_$tool" >/dev/null; then
            echo "install-tools: no such tool: $tool" >&2
            exit 2
        fi
        "install_$tool" || missing+=("$tool")
    done
    report
}

install_versitygw() { go_tool versitygw github.com/versity/versitygw/cmd/versitygw v1.8.0; }
install_crane() { go_tool crane github.com/google/go-containerregistry/cmd/crane v0.22.1; }
install_cosign() { go_tool cosign github.com/sigstore/cosign/v3/cmd/cosign v3.1.3; }
install_helm() { go_tool helm helm.sh/helm/v4/cmd/helm v4.2.4; }
install_kubeconform() { go_tool kubeconform github.com/yannh/kubeconform/cmd/kubeconform v0.8.0; }

# Builds one Go program into a folder named by its version and links it into bin/ under its plain name.
go_tool() {
    local name=$1 package=$2 version=$3
    local target="$cache/$name-$version"
    if [[ ! -x $target/$name ]]; then
        if ! command -v go >/dev/null; then
            echo "install-tools: $name needs Go (https://go.dev/dl/), which is not on this machine" >&2
            return 1
        fi
        echo "install-tools: building $name $version (once; up to a few minutes)"
        rm -rf "$target.new" && mkdir "$target.new" || return 1
        if ! GOBIN="$target.new" GOFLAGS=-buildvcs=false go install "$package@$version"; then
            rm -rf "$target.new"
            return 1
        fi
        # Renamed whole, so that an interrupted build is never taken for a tool.
        rm -rf "$target" && mv "$target.new" "$target" || return 1
    fi
    ln -sfn "$target/$name" "$cache/bin/$name"
}

report() {
    if ((${#missing[@]})); then
        echo "install-tools: NOT INSTALLED: ${missing[*]} (their interop tests will be skipped)" >&2
        exit 1
    fi
    echo "install-tools: ready in $cache/bin"
}

main "$@"
