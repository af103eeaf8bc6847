#!/usr/bin/env bash
# Installs the foreign tools that the interop tests hold the store against, each pinned, each once, into a cache outside
# the tree. With arguments only those tools. What cannot be installed is said loudly at the end and makes the exit code 1;
# the tests skip a missing tool as loudly.
#
#   tests/interop/install-tools.sh [versitygw] [crane] [cosign] [helm] [kubeconform] [syft] [trivy] [grype]
#                                  [scanner-databases] [hla-compass-2.0.5] [hla-compass-6.0.2]
#                                  [standardwebhooks-python]
set -uo pipefail

cache="${COMPANY_STORE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/company-store/tools}"
here="$(cd "$(dirname "$0")" && pwd)"
sources="$here/agreement"
missing=()

main() {
    mkdir -p "$cache/bin"
    local tools=("$@")
    ((${#tools[@]})) || tools=(versitygw crane cosign helm kubeconform syft trivy grype scanner-databases
        hla-compass-2.0.5 hla-compass-6.0.2 standardwebhooks-python)
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
# The client that module authors publish with, in its two generations.
install_hla-compass-2.0.5() { hla_compass 2.0.5 6b950264ea334a05043327cf01b8e988fefc3cfad59e94cd49ee299ade56452f; }
install_hla-compass-6.0.2() { hla_compass 6.0.2 01f9ec70f4a66e253f247ddd4db61f879d091af03bd587c777ba51df4cfd76c3; }

# A Python that knows the Standard Webhooks library, which is independent of the store.
install_standardwebhooks-python() {
    local name=standardwebhooks-python version=1.1.0 target="$cache/standardwebhooks-1.1.0" python
    local sha256=9a88d48a1f198be61517fc7ad328cf58ba02b73f0fbd8941d4213e9c0b6c2a61
    if [[ ! -e $target/complete ]]; then
        python=$(newest_python) || {
            echo "install-tools: $name needs Python 3.11 to 3.14 with venv, which is not on this machine" >&2
            return 1
        }
        echo "install-tools: installing $name (once)"
        rm -rf "$target" && "$python" -m venv "$target" || return 1
        echo "standardwebhooks==$version --hash=sha256:$sha256" >"$target/requirements.txt"
        "$target/bin/python" -m pip --quiet --disable-pip-version-check install --only-binary :all: \
            --require-hashes --requirement "$target/requirements.txt" || return 1
        touch "$target/complete"
    fi
    # Not a link: a Python finds its environment by its own path.
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$target/bin/python" >"$cache/bin/$name.new" &&
        chmod +x "$cache/bin/$name.new" && mv "$cache/bin/$name.new" "$cache/bin/$name"
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

needs_go() {
    command -v go >/dev/null && return
    echo "install-tools: $1 needs Go (https://go.dev/dl/), which is not on this machine" >&2
    return 1
}

# A Python program in an environment of its own, which is not moved afterwards: its scripts hold its path.
hla_compass() {
    local version=$1 sha256=$2 name="hla-compass-$1" pins="$here/hla-compass/$1.txt"
    local target="$cache/$name"
    if [[ ! -e $target/complete ]]; then
        local python
        python=$(newest_python) || {
            echo "install-tools: $name needs Python 3.11 to 3.14 with venv, which is not on this machine" >&2
            return 1
        }
        echo "install-tools: installing $name (once)"
        rm -rf "$target" && "$python" -m venv "$target" || return 1
        local pip=("$target/bin/python" -m pip --quiet --disable-pip-version-check)
        "${pip[@]}" download --no-deps --only-binary :all: --dest "$target/wheel" "hla-compass==$version" || return 1
        echo "$sha256  $(echo "$target"/wheel/*.whl)" | sha256sum --check --quiet || return 1
        "${pip[@]}" install --only-binary :all: --constraint "$pins" "$target"/wheel/*.whl || return 1
        touch "$target/complete"
    fi
    ln -sfn "$target/bin/hla-compass" "$cache/bin/$name"
}

newest_python() {
    local python
    for python in python3.14 python3.13 python3.12 python3.11 python3; do
        if "$python" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# install_once NAME VERSION BUILD ARGUMENT...: runs BUILD with a new folder and the arguments, unless this version is there.
install_once() {
    local name=$1 version=$2 build=$3
    shift 3
    local target="$cache/$name-$version"
    if [[ ! -x $target/$name ]]; then
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
    needs_go "$package" || return 1
    GOBIN="$folder" GOFLAGS=-buildvcs=false go install "$package"
}

build_in_module() {
    local folder=$1 module=$2 package=$3 scratch built
    needs_go "$package" || return 1
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
    needs_go scanner-databases || return 1
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
