//! Paths of archive entries, relative to the image's root.

use super::error::{Ambiguity, ArchiveError, ExceededLimit};
use super::limits::LayerLimits;

/// Normalises an entry's path: no leading `./`, no trailing slash, no empty or `.` components; the root itself is empty.
///
/// # Errors
/// Absolute paths, `..`, NUL and anything that is not UTF-8: tools disagree on where such an entry lands.
pub(super) fn normalise(raw: &[u8], limits: &LayerLimits) -> Result<String, ArchiveError> {
    let ambiguous = |problem| ArchiveError::ambiguous(problem, shown(raw));
    let path = text(raw, limits)?;
    if path.is_empty() {
        return Err(ambiguous(Ambiguity::EmptyPath));
    }
    if path.starts_with('/') {
        return Err(ambiguous(Ambiguity::AbsolutePath));
    }
    if path.split('/').any(|component| component == "..") {
        return Err(ambiguous(Ambiguity::ParentInPath));
    }
    let normalised = join_components(path);
    if normalised.split('/').count() > limits.path_depth {
        return Err(ArchiveError::limit(ExceededLimit::PathDepth(limits.path_depth), shown(raw)));
    }
    Ok(normalised)
}

/// Normalises the target of a hard link, which names an entry from the root, with or without a leading slash: every
/// unpacker joins it to the root (kaniko writes the slash).
pub(super) fn hard_link_target(raw: &[u8], limits: &LayerLimits) -> Result<String, ArchiveError> {
    let outside = || ArchiveError::ambiguous(Ambiguity::HardLinkOutside, shown(raw));
    let target = text(raw, limits)?;
    if target.split('/').any(|component| component == "..") {
        return Err(outside());
    }
    let normalised = join_components(target);
    if normalised.is_empty() { Err(outside()) } else { Ok(normalised) }
}

/// A symbolic link's target as written: absolute targets and `..` are normal, and resolved only inside the root.
pub(super) fn symlink_target(raw: &[u8], limits: &LayerLimits) -> Result<String, ArchiveError> {
    let target = text(raw, limits)?;
    if target.is_empty() {
        return Err(ArchiveError::ambiguous(Ambiguity::EmptyPath, None));
    }
    Ok(target.to_owned())
}

/// Whether the symbolic link at `path` has an absolute target or one that climbs out of the root, as it is written.
/// Runtimes follow it inside the root; other unpackers refuse, follow it outside or replace it.
pub(super) fn leads_out(path: &str, target: &str) -> bool {
    let mut depth = path.split('/').count() - 1;
    target.starts_with('/')
        || target.split('/').any(|component| match component {
            "" | "." => false,
            ".." if depth == 0 => true,
            ".." => {
                depth -= 1;
                false
            }
            _ => {
                depth += 1;
                false
            }
        })
}

fn text<'a>(raw: &'a [u8], limits: &LayerLimits) -> Result<&'a str, ArchiveError> {
    if raw.len() > limits.path_bytes {
        return Err(ArchiveError::limit(ExceededLimit::PathBytes(limits.path_bytes), shown(raw)));
    }
    if raw.contains(&0) {
        return Err(ArchiveError::ambiguous(Ambiguity::PathNul, shown(raw)));
    }
    std::str::from_utf8(raw).map_err(|_| ArchiveError::ambiguous(Ambiguity::PathEncoding, shown(raw)))
}

fn join_components(path: &str) -> String {
    let mut joined = String::with_capacity(path.len());
    for component in path.split('/').filter(|component| !component.is_empty() && *component != ".") {
        if !joined.is_empty() {
            joined.push('/');
        }
        joined.push_str(component);
    }
    joined
}

/// How a raw name is shown in errors: no NUL (errors are stored as JSONB, which has none) and not endless.
pub(super) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(&raw[..raw.len().min(512)]).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(raw: &str) -> Result<String, ArchiveError> {
        normalise(raw.as_bytes(), &LayerLimits::default())
    }

    #[test]
    fn normalises_what_tar_programs_write() {
        for (raw, want) in
            [("./etc/passwd", "etc/passwd"), ("./", ""), (".", ""), ("a//b/./c/", "a/b/c"), ("..a/b..", "..a/b..")]
        {
            assert_eq!(path(raw).as_deref(), Ok(want), "{raw}");
        }
    }

    #[test]
    fn names_each_refusal() {
        let problem = |raw: &[u8]| match normalise(raw, &LayerLimits::default()).unwrap_err() {
            ArchiveError::Ambiguous { problem, .. } => problem,
            other => panic!("{other}"),
        };
        assert_eq!(problem(b""), Ambiguity::EmptyPath);
        assert_eq!(problem(b"/etc/passwd"), Ambiguity::AbsolutePath);
        assert_eq!(problem(b"a/../b"), Ambiguity::ParentInPath);
        assert_eq!(problem(b"a\0b"), Ambiguity::PathNul);
        assert_eq!(problem(b"a\xff"), Ambiguity::PathEncoding);
        let limits = LayerLimits { path_bytes: 8, path_depth: 2, ..LayerLimits::default() };
        let limit = |raw: &[u8]| match normalise(raw, &limits).unwrap_err() {
            ArchiveError::LimitExceeded { limit, .. } => limit,
            other => panic!("{other}"),
        };
        assert_eq!(limit(b"123456789"), ExceededLimit::PathBytes(8));
        assert_eq!(limit(b"a/b/c"), ExceededLimit::PathDepth(2));
        assert_eq!(path("a/b").as_deref(), Ok("a/b"));
    }

    #[test]
    fn hard_links_stay_inside_the_root() {
        let target = |raw: &str| hard_link_target(raw.as_bytes(), &LayerLimits::default());
        assert_eq!(target("/usr/bin/perl").as_deref(), Ok("usr/bin/perl"));
        for outside in ["../x", "usr/../../x", "/", ".", ""] {
            assert!(
                matches!(target(outside), Err(ArchiveError::Ambiguous { problem: Ambiguity::HardLinkOutside, .. })),
                "{outside}"
            );
        }
    }

    #[test]
    fn tells_links_that_lead_out() {
        for (path, target, out) in [
            ("lib", "usr/lib", false),
            ("etc/os-release", "../usr/lib/os-release", false),
            ("a/b/c", "../../x", false),
            ("a/b/c", "../../../x", true),
            ("a", "b/../../x", true),
            ("a", "/usr", true),
            ("a", "..a", false),
        ] {
            assert_eq!(leads_out(path, target), out, "{path} -> {target}");
        }
    }

    proptest! {
        #[test]
        fn normalised_paths_stay_below_the_root_and_are_stable(raw in "[a./ü]{1,24}") {
            if let Ok(normal) = path(&raw) {
                prop_assert!(!normal.starts_with('/') && !normal.ends_with('/'));
                prop_assert!(normal.split('/').all(|c| c != ".." && c != "."));
                if !normal.is_empty() {
                    prop_assert_eq!(path(&normal), Ok(normal.clone()));
                }
            }
        }
    }
}
