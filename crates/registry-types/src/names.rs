//! Names that people choose: organizations, packages, e-mail addresses, versions.

use std::fmt;
use std::str::FromStr;

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("must be 3 to 50 lower-case letters, digits and single hyphens, not starting or ending with a hyphen")]
    Slug,
    #[error("must be an e-mail address")]
    Email,
    #[error("must have the form publisher/name")]
    PackageName,
}

fn is_slug(value: &str) -> bool {
    (3..=50).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !value.starts_with('-')
        && !value.ends_with('-')
}

macro_rules! text_newtype {
    ($(#[$meta:meta])* $name:ident, $check:expr, $error:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);
        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(value) { Ok(Self(value.to_owned())) } else { Err($error) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype!(
    /// An organization's slug; it is also the publisher part of its packages' names.
    OrganizationSlug, is_slug, NameError::Slug
);
text_newtype!(
    /// The name part of `publisher/name`. The HLA-Compass manifest's name rule (3 to 50 characters) is the narrowest of
    /// the served systems and therefore the store's.
    PackageSlug, is_slug, NameError::Slug
);
text_newtype!(
    /// A login e-mail address. Only the shape that every mail system shares is checked; it is stored lower-cased.
    Email,
    |v| v.len() <= 254
        && v.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && host.len() >= 3 && !host.contains('@') && host.contains('.')
        })
        && !v.chars().any(|c| c.is_whitespace() || c.is_control() || c.is_uppercase()),
    NameError::Email
);

/// `publisher/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName {
    pub publisher: OrganizationSlug,
    pub name: PackageSlug,
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let (publisher, name) = value.split_once('/').ok_or(NameError::PackageName)?;
        Ok(Self { publisher: publisher.parse()?, name: name.parse()? })
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.publisher, self.name)
    }
}
