//! Image references and namespace patterns.

use registry_types::image_reference::ImageReference;
use registry_types::namespace_pattern::NamespacePattern;

pub(super) fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(reference) = text.parse::<ImageReference>() else { return };
    let printed = reference.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&reference), "{printed:?} is another reference");
    assert!(!reference.target().is_empty());
}

/// Two lines: a pattern, and another pattern or a reference.
pub(super) fn pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(pattern) = first.parse::<NamespacePattern>() else { return };
    let printed = pattern.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&pattern), "{printed:?} is another pattern");
    assert!(pattern.overlaps(&pattern));
    let other = second.parse::<NamespacePattern>().ok();
    if let Some(other) = &other {
        assert_eq!(pattern.overlaps(other), other.overlaps(&pattern));
    }
    if let Ok(reference) = second.parse::<ImageReference>()
        && pattern.matches(&reference)
    {
        assert_eq!(pattern.host(), &reference.host);
        // What is exactly that repository has it in common with the pattern.
        let exact = format!("{}/{}", reference.host, reference.repository);
        assert!(exact.parse::<NamespacePattern>().is_ok_and(|exact| exact.overlaps(&pattern)), "{exact}");
    }
}
