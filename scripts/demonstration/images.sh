# Sourced by scripts/demo: makes real images without docker, from Debian packages, a PyPI wheel and the module's code.
# shellcheck shell=bash

debian_packages=(base-files netbase tzdata zlib1g libexpat1)

# reproducible_tar FOLDER OUTPUT.tar.gz: the same files give the same bytes, so that a second run changes nothing.
reproducible_tar() {
    tar --create --directory "$1" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner \
        --format=gnu . | gzip --no-name --best >"$2"
}

# base_layer OUTPUT.tar.gz: Debian packages unpacked, with their entries in the dpkg database.
base_layer() {
    local root=$work/base packages=$work/packages package deb
    mkdir -p "$root/var/lib/dpkg" "$packages"
    for package in "${debian_packages[@]}"; do
        ls "$packages/${package}_"*.deb >/dev/null 2>&1 ||
            (cd "$packages" && apt-get download -qq "$package" >/dev/null 2>&1) ||
            fail "the Debian package $package could not be downloaded"
        deb=$(ls "$packages/${package}_"*.deb)
        dpkg-deb --extract "$deb" "$root"
        {
            printf 'Package: %s\nStatus: install ok installed\n' "$package"
            dpkg-deb --field "$deb" Source Version Architecture Maintainer Installed-Size Description | sed '/^$/d'
            printf '\n'
        } >>"$root/var/lib/dpkg/status"
    done
    # Root file systems that were merged by usrmerge carry these as links; unpacked packages may lack them.
    reproducible_tar "$root" "$1"
    rm -rf "$root"
}

# wheel_layer REQUIREMENT OUTPUT.tar.gz: a wheel from PyPI, unpacked where Debian's Python would find it.
wheel_layer() {
    local root=$work/wheels/$1 packages=$work/wheels
    mkdir -p "$root/usr/lib/python3/site-packages" "$packages"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$packages" "$1" ||
        fail "the wheel $1 could not be downloaded"
    local name=${1%%==*} version=${1##*==}
    python3 -m zipfile --extract "$(ls "$packages/$name-$version"-*.whl | head -1)" "$root/usr/lib/python3/site-packages"
    reproducible_tar "$root" "$2"
    rm -rf "$root"
}

# module_layer VERSION OUTPUT.tar.gz: the module's code and its manifest with this version.
module_layer() {
    local root=$work/module-$1
    mkdir -p "$root/app"
    cp -r examples/modules/invoice-reader/backend "$root/app/"
    module_manifest "$1" >"$root/app/manifest.json"
    chmod -R u=rwX,go=rX "$root"
    reproducible_tar "$root" "$2"
    rm -rf "$root"
}

module_manifest() {
    sed "s/\"version\": \"1.0.0\"/\"version\": \"$1\"/" examples/modules/invoice-reader/manifest.json
}

# oci_image TAG LAYER.tar.gz...: writes an OCI layout with one image into $work/layout.
oci_image() {
    local tag=$1 layout=$work/layout layer diff_ids='' descriptors='' digest
    shift
    mkdir -p "$layout/blobs/sha256"
    for layer in "$@"; do
        digest=$(put_blob "$layer")
        diff_ids+="${diff_ids:+,}\"sha256:$(gzip --decompress --stdout "$layer" | sha256sum | cut -d' ' -f1)\""
        descriptors+="${descriptors:+,}{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"$digest\",\"size\":$(stat -c %s "$layer")}"
    done
    printf '{"architecture":"amd64","os":"linux","created":"2023-11-14T22:13:20Z","config":{"WorkingDir":"/app","Cmd":["python3","-m","backend.main"]},"rootfs":{"type":"layers","diff_ids":[%s]},"history":[]}' \
        "$diff_ids" >"$work/config.json"
    local config_digest
    config_digest=$(put_blob "$work/config.json")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[%s]}' \
        "$config_digest" "$(stat -c %s "$work/config.json")" "$descriptors" >"$work/image.json"
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
        "$(put_blob "$work/image.json")" "$(stat -c %s "$work/image.json")" "$tag" >"$layout/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
}

# put_blob FILE: copies it into the layout and prints its digest.
put_blob() {
    local hex
    hex=$(sha256sum "$1" | cut -d' ' -f1)
    cp "$1" "$work/layout/blobs/sha256/$hex"
    echo "sha256:$hex"
}
