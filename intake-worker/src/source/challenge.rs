//! `WWW-Authenticate`: what a registry asks for.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::error::SourceError;

/// The schemes that registries use, by preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token from `realm` (Docker token authentication).
    Bearer {
        realm: String,
        service: Option<String>,
    },
    Basic,
}

impl Challenge {
    /// Bearer before Basic; schemes we do not speak are passed over.
    ///
    /// # Errors
    /// When a header is longer than 4 KiB or cannot be read for sure.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, SourceError> {
        let malformed = || SourceError::Protocol("malformed WWW-Authenticate header".to_owned());
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let value = value.to_str().map_err(|_| malformed())?;
            if value.len() > MAX_CHALLENGE_BYTES {
                return Err(malformed());
            }
            for challenge in http_auth::parse_challenges(value).map_err(|_| malformed())? {
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    let param = |name: &str| -> Option<String> {
                        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                        found.map(|(_, value)| value.to_unescaped())
                    };
                    let realm = param("realm").ok_or_else(malformed)?;
                    return Ok(Some(Self::Bearer { realm, service: param("service") }));
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        Ok(basic)
    }
}

const MAX_CHALLENGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Option<Challenge>, SourceError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn reads_the_forms_that_registries_send() {
        let bearer = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
        };
        let text =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        assert_eq!(parse(&[text]).unwrap(), Some(bearer.clone()));
        assert_eq!(parse(&[r#"Basic realm="x""#, text]).unwrap(), Some(bearer));
        assert_eq!(parse(&[r#"Basic realm="Registry Realm""#]).unwrap(), Some(Challenge::Basic));
        assert_eq!(parse(&[r#"Negotiate, Digest realm="x", nonce="y""#]).unwrap(), None);
        assert_eq!(parse(&[]).unwrap(), None);
    }

    #[test]
    fn refuses_what_cannot_be_read_for_sure() {
        for bad in
            ["Bearer realm=", "Bearer", r#"Bearer realm="https://a"#, &format!("Basic realm=\"{}\"", "x".repeat(5000))]
        {
            assert!(parse(&[bad]).is_err(), "{bad} was accepted");
        }
    }
}
