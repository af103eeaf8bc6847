//! What refers to an image: the referrers API of OCI 1.1, or the tag that stands in for it.

use registry_types::digest::Digest;
use registry_types::limits;
use url::Url;

use super::error::SourceError;
use super::manifest::{Descriptor, Manifest, OCI_INDEX, RawManifest};
use super::session::RegistrySession;
use super::transport::Ask;

/// Pages of one listing that are read.
const MAX_PAGES: usize = 16;

/// Where a list of referrers came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferrersSource {
    Api,
    /// The registry has no referrers API.
    FallbackTag,
}

/// The referrers of one image. An empty list is a clean answer, never an outage.
#[derive(Debug, Clone)]
pub struct Referrers {
    pub source: ReferrersSource,
    /// As the registry lists them: nothing of it is proven before the manifest itself was read.
    pub descriptors: Vec<Descriptor>,
    /// The fallback tag holds something that is not a list of referrers. GitLab answers such a tag with the image itself.
    pub tag_is_no_list: bool,
}

impl RegistrySession {
    /// Lists what refers to `subject`.
    ///
    /// # Errors
    /// Every failure but a clean "not supported" (API) and "no such tag" (fallback); [`SourceError::LimitExceeded`] above
    /// [`limits::MAX_SIGNATURE_CANDIDATES`] entries.
    pub async fn referrers(&self, subject: &Digest) -> Result<Referrers, SourceError> {
        match self.referrers_by_api(subject).await {
            Ok(descriptors) => Ok(Referrers { source: ReferrersSource::Api, descriptors, tag_is_no_list: false }),
            Err(SourceError::NotFound { .. } | SourceError::Unsupported { .. }) => self.referrers_by_tag(subject).await,
            Err(error) => Err(error),
        }
    }

    pub(super) async fn referrers_by_api(&self, subject: &Digest) -> Result<Vec<Descriptor>, SourceError> {
        let first = self.url(&["referrers", &subject.to_string()])?;
        let mut next = Some(first.clone());
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { return Ok(found) };
            let ask = Ask::get(url.clone(), OCI_INDEX, format!("referrers of {subject}"));
            let (bytes, answer) = self.fetch(&ask, limits::MAX_MANIFEST_BYTES).await?;
            let digest = Digest::sha256_of(&bytes);
            let page = RawManifest::read(bytes, digest, answer.content_type.as_deref());
            let Ok(RawManifest { content: Manifest::Index(page), .. }) = page else {
                return Err(SourceError::Protocol(format!("{} are not listed as an index", ask.what)));
            };
            found.extend(page.manifests);
            check_count(&found)?;
            next = next_page(&answer.link, &url, &first)?;
        }
        Err(SourceError::LimitExceeded { what: "pages of referrers".to_owned(), limit: MAX_PAGES as u64 })
    }

    async fn referrers_by_tag(&self, subject: &Digest) -> Result<Referrers, SourceError> {
        let none = |tag_is_no_list| Referrers {
            source: ReferrersSource::FallbackTag,
            descriptors: Vec::new(),
            tag_is_no_list,
        };
        let listed = match self.manifest(&fallback_tag(subject)).await {
            Ok(listed) if listed.digest == *subject => return Ok(none(true)),
            Ok(listed) => listed,
            Err(SourceError::NotFound { .. }) => return Ok(none(false)),
            Err(error) => return Err(error),
        };
        match listed.content {
            Manifest::Index(index) => {
                check_count(&index.manifests)?;
                Ok(Referrers { descriptors: index.manifests, ..none(false) })
            }
            Manifest::Image(_) => Ok(none(true)),
        }
    }
}

/// The referrers tag schema: algorithm and hex, cut to 32 and 64 characters.
fn fallback_tag(subject: &Digest) -> String {
    let hex = subject.hex();
    format!("{}-{}", subject.algorithm().as_str(), &hex[..hex.len().min(64)])
}

fn check_count(found: &[Descriptor]) -> Result<(), SourceError> {
    if found.len() > limits::MAX_SIGNATURE_CANDIDATES {
        let limit = limits::MAX_SIGNATURE_CANDIDATES as u64;
        return Err(SourceError::LimitExceeded { what: "the number of referrers".to_owned(), limit });
    }
    Ok(())
}

/// RFC 8288 `rel="next"`. It may only lead to further pages of the same list.
fn next_page(links: &[String], current: &Url, first: &Url) -> Result<Option<Url>, SourceError> {
    let Some(target) = links.iter().flat_map(|value| value.split(',')).find_map(next_target) else { return Ok(None) };
    let next = current.join(target).ok().filter(|next| next.origin() == first.origin() && next.path() == first.path());
    match next {
        Some(next) if next != *current => Ok(Some(next)),
        Some(_) | None => Err(SourceError::Protocol("the next page of referrers lies elsewhere".to_owned())),
    }
}

fn next_target(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    };
    parameters.split(';').any(is_next).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_stays_in_the_same_list() {
        let first: Url = "https://r.test/v2/a/referrers/sha256:00".parse().unwrap();
        let next = |link: &str| next_page(&[link.to_owned()], &first, &first);
        let page = next(r#"</v2/a/referrers/sha256:00?last=x>; rel="next""#).unwrap().unwrap();
        assert_eq!(page.as_str(), "https://r.test/v2/a/referrers/sha256:00?last=x");
        assert!(next("<?last=y>; rel=next").unwrap().is_some());
        assert!(next(r#"<?last=y>; rel="prev""#).unwrap().is_none());
        for bad in ["<https://evil.test/v2/a/referrers/sha256:00>; rel=next", "</v2/b/x>; rel=next", "<>; rel=next"] {
            assert!(next(bad).is_err(), "{bad} was followed");
        }
    }

    #[test]
    fn fallback_tags_are_cut_to_what_a_tag_can_hold() {
        let long: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&long), format!("sha512-{}", "a".repeat(64)));
    }
}
