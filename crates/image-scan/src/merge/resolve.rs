//! Symbolic links, followed inside the image's root as `chroot` would.

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

/// Where a path leads when every symbolic link on it, the last component included, is followed. `target_of` gives the
/// target of a link at a resolved path. `None` for a loop.
pub(super) fn resolve<'a>(path: &str, target_of: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut links = 0;
    let mut resolved: Vec<String> = Vec::new();
    let mut ahead: Vec<String> = components(path);
    while let Some(component) = ahead.pop() {
        if component == ".." {
            // The root's parent is the root.
            resolved.pop();
            continue;
        }
        resolved.push(component);
        if let Some(target) = target_of(&resolved.join("/")) {
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            if target.starts_with('/') {
                resolved.clear();
            } else {
                resolved.pop();
            }
            ahead.extend(components(target));
        }
    }
    Some(resolved.join("/"))
}

/// In reverse, as a stack.
fn components(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|component| !component.is_empty() && *component != ".").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_links_and_never_leaves_the_root() {
        let links = [
            ("lib", "usr/lib"),
            ("etc/os-release", "../usr/lib/os-release"),
            ("a", "/b/../c"),
            ("out", "../../../etc/passwd"),
            ("loop", "loop"),
            ("app/x", "."),
        ];
        let follow = |path: &str| resolve(path, |at| links.iter().find(|(link, _)| *link == at).map(|(_, to)| *to));
        for (path, want) in [
            ("lib/apk/db/installed", Some("usr/lib/apk/db/installed")),
            ("etc/os-release", Some("usr/lib/os-release")),
            ("a/d", Some("c/d")),
            ("out", Some("etc/passwd")),
            ("plain/file", Some("plain/file")),
            ("app/x/y", Some("app/y")),
            ("loop", None),
        ] {
            assert_eq!(follow(path).as_deref(), want, "{path}");
        }
    }
}
