//! A target for each parser of bytes from outside. A target feeds the bytes to the parser and asserts what must hold of
//! whatever comes out; that the parser does not panic and stays within its limits comes with it.

mod documents;
mod files;
mod identities;
mod layers;
mod names;
mod versions;

/// A target and its name, which is also the folder of its seeds.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// The targets of the pure crates.
pub(crate) const TARGETS: &[Target] = &[
    ("reference", names::reference),
    ("pattern", names::pattern),
    ("tar_pass", layers::tar_pass),
    ("dpkg", files::dpkg),
    ("apk", files::apk),
    ("os_release", files::os_release),
    ("wheel", files::wheel),
    ("package_json", files::package_json),
    ("auditable", files::auditable),
    ("osv", documents::osv),
    ("version_order", versions::version_order),
    ("package_manifest", documents::package_manifest),
    ("template", documents::template),
    ("openvex", documents::openvex),
    ("signing_keys", identities::signing_keys),
    ("identity_claims", identities::identity_claims),
];

/// The first byte as a choice among so many, and the rest.
fn choice(data: &[u8], among: usize) -> Option<(usize, &[u8])> {
    data.split_first().map(|(first, rest)| (usize::from(*first) % among, rest))
}
