//! The order of versions.

use std::cmp::Ordering;

use image_scan::version_order::compare;
use registry_types::component::Ecosystem;

/// The first byte names the ecosystem; then come three versions, a line each.
pub(super) fn version_order(data: &[u8]) {
    let Some((ecosystem, rest)) = super::choice(data, Ecosystem::ALL.len()) else { return };
    let ecosystem = Ecosystem::ALL[ecosystem];
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let mut lines = text.split('\n');
    let [a, b, c] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let ordered = |a: &str, b: &str| compare(ecosystem, a, b);
    for version in [a, b, c] {
        assert!(matches!(ordered(version, version), None | Some(Ordering::Equal)), "{version:?} is not itself");
    }
    let (Some(ab), Some(bc)) = (ordered(a, b), ordered(b, c)) else { return };
    assert_eq!(ordered(b, a), Some(ab.reverse()), "{a:?} {b:?}");
    let ac = ordered(a, c);
    match (ab, bc) {
        (Ordering::Equal, other) | (other, Ordering::Equal) => assert_eq!(ac, Some(other), "{a:?} {b:?} {c:?}"),
        (ab, bc) if ab == bc => assert_eq!(ac, Some(ab), "{a:?} {b:?} {c:?}"),
        _ => assert!(ac.is_some(), "{a:?} {c:?}"),
    }
}
