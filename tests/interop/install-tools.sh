#!/usr/bin/env bash
# Installs the foreign tools that the interop tests hold the store against, each pinned, each once, into a cache outside
# the tree. With arguments only those tools. What cannot be installed is said loudly at the end and makes the exit code 1;
# the tests skip a missing tool as loudly.
#
#   tests/interop/install-tools.sh [versitygw] [crane] [cosign] [helm] [kubeconform] [syft] [trivy] [grype]
#                                  [scanner-databases]
set -uo pipefail

cache="${COMPANY_STORE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/company-store/tools}"
sources="$(cd "$(dirname "$0")" && pwd)/agreement"
missing=()

main() {
    mkdir -p "$cache/bin"
    local tools=("$@")
    ((${#tools[@]})) || tools=(versitygw crane cosign helm kubeconform syft trivy grype scanner-databases)
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
install_syft() { go_tool syft github.com/anchore/syft/cmd/syft v1.42.3; }
install_trivy() { go_module_tool trivy github.com/aquasecurity/trivy v0.72.0 github.com/aquasecurity/trivy/cmd/trivy; }
install_grype() { go_tool grype github.com/anchore/grype/cmd/grype v0.110.0; }
# Ours, over the libraries that the scanners themselves write their databases with.
install_scanner-databases() {
    install_once scanner-databases "$(cat "$sources"/scanner-databases/*.go | sha256sum | cut -c1-12)" build_scanner_databases
}

# Builds one Go program into a folder named by its version and links it into bin/ under its plain name.
go_tool() {
    local name=$1 package=$2 version=$3
    install_once "$name" "$version" build_package "$package@$version"
}

# The same for a program whose module must be named apart from its package, by way of a module of nothing else.
go_module_tool() {
    local name=$1 module=$2 version=$3 package=$4
    install_once "$name" "$version" build_in_module "$module@$version" "$package"
}

# install_once NAME VERSION BUILD ARGUMENT...: runs BUILD with a new folder and the arguments, unless this version is there.
install_once() {
    local name=$1 version=$2 build=$3
    shift 3
    local target="$cache/$name-$version"
    if [[ ! -x $target/$name ]]; then
        if ! command -v go >/dev/null; then
            echo "install-tools: $name needs Go (https://go.dev/dl/), which is not on this machine" >&2
            return 1
        fi
        echo "install-tools: building $name $version (once; up to a few minutes)"
        rm -rf "$target.new" && mkdir "$target.new" || return 1
        if ! "$build" "$target.new" "$@"; then
            rm -rf "$target.new"
            return 1
        fi
        # Renamed whole, so that an interrupted build is never taken for a tool.
        rm -rf "$target" && mv "$target.new" "$target" || return 1
    fi
    ln -sfn "$target/$name" "$cache/bin/$name"
}

build_package() {
    local folder=$1 package=$2
    GOBIN="$folder" GOFLAGS=-buildvcs=false go install "$package"
}

build_in_module() {
    local folder=$1 module=$2 package=$3 scratch built
    scratch=$(mktemp -d) || return 1
    (
        cd "$scratch" &&
            go mod init scratch &&
            go get "$module" &&
            # Trivy is written against the second JSON package of Go, which is still an experiment.
            GOEXPERIMENT=jsonv2 GOFLAGS=-buildvcs=false go build -mod=mod -o "$folder/" "$package"
    )
    built=$?
    rm -rf "$scratch"
    return "$built"
}

build_scanner_databases() {
    local folder=$1 scratch built
    scratch=$(mktemp -d) && cp "$sources"/scanner-databases/*.go "$scratch" || return 1
    (
        cd "$scratch" &&
            go mod init scanner-databases &&
            go get github.com/anchore/grype@v0.110.0 go.etcd.io/bbolt@v1.4.3 &&
            GOFLAGS=-buildvcs=false go build -mod=mod -o "$folder/scanner-databases" .
    )
    built=$?
    rm -rf "$scratch"
    return "$built"
}

report() {
    if ((${#missing[@]})); then
        echo "install-tools: NOT INSTALLED: ${missing[*]} (their interop tests will be skipped)" >&2
        exit 1
    fi
    echo "install-tools: ready in $cache/bin"
}

main "$@"
