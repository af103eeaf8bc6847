# Sourced by scripts/bench: images of about 0.3, 2, 50, 160 and 1,000 MB (compressed) from Debian, PyPI and npm packages.
# shellcheck shell=bash

npm_packages=(typescript@5.6.3 webpack@5.96.1 eslint@9.14.0 googleapis@144.0.0 monaco-editor@0.52.0 three@0.169.0)
python_wheels=(numpy==2.1.3 scipy==1.14.1 pandas==2.2.3 pyarrow==18.0.0 matplotlib==3.9.2 duckdb==1.1.3 scikit-learn==1.5.2
    pillow==11.0.0 cryptography==43.0.3)
large_debian_packages=(openjdk-17-jre-headless openjdk-17-jdk-headless golang-1.19-go libllvm14 llvm-14-dev clang-14
    libclang-common-14-dev libreoffice-core libreoffice-common firefox-esr thunderbird rustc libstd-rust-dev
    libwebkit2gtk-4.1-0 qt6-webengine-dev libqt6webenginecore6)

# bench_image SIZE: pushes bench/module-SIZE:1.0.0 and its next version 1.0.1, which changes one layer of 1 MB.
bench_image() {
    local size=$1 layers=()
    work=$images
    [ -f "$images/base.tar.gz" ] || base_layer "$images/base.tar.gz"
    [ -f "$images/wheel.tar.gz" ] || wheel_layer jinja2==3.1.6 "$images/wheel.tar.gz"
    layers=("$images/base.tar.gz" "$images/wheel.tar.gz")
    case $size in
        0.3) small_layer && layers=("$images/small.tar.gz") ;;
        2) ;;
        50) node_layer && layers+=("$images/node.tar.gz") ;;
        160) python_layer && layers+=("$images/python.tar.gz") ;;
        1000) node_layer && python_layer && large_layers && layers+=("$images/node.tar.gz" "$images/python.tar.gz" "$images"/large-*.tar.gz) ;;
        *) fail "no image of $size MB is known" ;;
    esac
    local version
    for version in 1.0.0 1.0.1; do
        bench_module_layer "$size" "$version" "$images/module-$size-$version.tar.gz"
        rm -rf "$images/layout"
        oci_image "$version" "${layers[@]}" "$images/module-$size-$version.tar.gz"
        skopeo copy --quiet --dest-tls-verify=false "oci:$images/layout:$version" "docker://$source_registry/bench/module-$size:$version"
    done
    rm -rf "$images/layout"
    image_bytes=$(cat "${layers[@]}" "$images/module-$size-1.0.0.tar.gz" | wc -c)
}

# The module's own layer: manifest, code, and 1 MB of data (less in the smallest image) that no compressor makes smaller.
bench_module_layer() {
    local root=$images/module-root bytes=1_000_000
    [ "$1" != 0.3 ] || bytes=200_000
    rm -rf "$root"
    mkdir -p "$root/app"
    cp -r examples/modules/invoice-reader/backend "$root/app/"
    bench_manifest "$1" "$2" >"$root/app/manifest.json"
    python3 -c 'import random, sys; random.seed(sys.argv[1]); sys.stdout.buffer.write(random.randbytes(int(sys.argv[2])))' "$1-$2" "$bytes" >"$root/app/data.bin"
    reproducible_tar "$root" "$3"
    rm -rf "$root"
}

bench_manifest() {
    sed "s/\"version\": \"1.0.0\"/\"version\": \"$2\"/; s/\"invoice-reader\"/\"module-${1/./-}\"/" examples/modules/invoice-reader/manifest.json
}

# The base of the smallest image: one Debian package, and which Debian it is.
small_layer() {
    [ ! -f "$images/small.tar.gz" ] || return 0
    local debian_packages=(base-files)
    base_layer "$images/small.tar.gz"
}

node_layer() {
    [ ! -f "$images/node.tar.gz" ] || return 0
    local root=$images/node-root
    rm -rf "$root" && mkdir -p "$root/srv"
    (cd "$root/srv" && npm init --yes >/dev/null && npm install --silent --ignore-scripts --no-audit --no-fund "${npm_packages[@]}")
    reproducible_tar "$root" "$images/node.tar.gz"
    rm -rf "$root"
}

python_layer() {
    [ ! -f "$images/python.tar.gz" ] || return 0
    local root=$images/python-root wheel
    rm -rf "$root" && mkdir -p "$root/usr/lib/python3/site-packages"
    for wheel in "${python_wheels[@]}"; do
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$images/wheels" "$wheel"
    done
    for wheel in "$images"/wheels/*.whl; do
        python3 -m zipfile --extract "$wheel" "$root/usr/lib/python3/site-packages"
    done
    reproducible_tar "$root" "$images/python.tar.gz"
    rm -rf "$root"
}

# A layer for each large Debian package, without its dpkg entry: the bytes are what counts here.
large_layers() {
    local package deb root=$images/large-root
    for package in "${large_debian_packages[@]}"; do
        [ ! -f "$images/large-$package.tar.gz" ] || continue
        (cd "$images/packages" && apt-get download -qq "$package" >/dev/null 2>&1) || continue
        deb=$(ls "$images/packages/${package}_"*.deb)
        rm -rf "$root" && mkdir -p "$root"
        dpkg-deb --extract "$deb" "$root"
        tar --create --directory "$root" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner --format=gnu . |
            gzip --no-name >"$images/large-$package.tar.gz"
        rm -rf "$root" "$deb"
    done
}
