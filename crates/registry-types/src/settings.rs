//! What is wrong with a program's settings, all at once, and what production refuses.

use std::fmt;

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFault {
    pub setting: String,
    pub message: String,
}

/// Everything that is wrong with the settings. Says no value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub Vec<SettingsFault>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are not usable:")?;
        for fault in &self.0 {
            write!(f, "\n  {}: {}", fault.setting, fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// Passwords that samples and images are shipped with.
const DEFAULT_PASSWORDS: [&str; 7] = ["postgres", "password", "changeme", "change-me", "secret", "example", "admin"];

/// Whether a secret is none, or one that everybody knows.
#[must_use]
pub fn is_default_password(password: &str) -> bool {
    password.is_empty() || DEFAULT_PASSWORDS.iter().any(|default| password.eq_ignore_ascii_case(default))
}

/// Whether a database URL holds a password that everybody knows.
#[must_use]
pub fn has_default_password(url: &str) -> bool {
    url::Url::parse(url).ok().and_then(|url| url.password().map(is_default_password)).unwrap_or(false)
}

/// Reads a program's settings; `required` names those without a default, because the parser stops at the first that is
/// missing.
///
/// # Errors
/// With everything that is missing or does not parse.
#[cfg(feature = "figment")]
pub fn extract<T: serde::de::DeserializeOwned>(
    figment: &figment::Figment,
    required: &[&str],
) -> Result<T, SettingsError> {
    figment.extract().map_err(|errors| {
        let mut faults: Vec<_> = errors.into_iter().map(unreadable).collect();
        for missing in required.iter().filter(|name| figment.find_value(name).is_err()) {
            let fault = SettingsFault { setting: (*missing).to_owned(), message: "is missing".to_owned() };
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        SettingsError(faults)
    })
}

/// figment's error without the value, which may be a secret.
#[cfg(feature = "figment")]
fn unreadable(error: figment::Error) -> SettingsFault {
    use figment::error::Kind;
    let setting = if error.path.is_empty() { "settings".to_owned() } else { error.path.join(".") };
    let message = match &error.kind {
        Kind::MissingField(field) => {
            return SettingsFault { setting: field.to_string(), message: "is missing".to_owned() };
        }
        Kind::UnknownField(field, _) => format!("{field} is not a setting"),
        Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("must be {expected}"),
        Kind::DuplicateField(field) => format!("{field} is given twice"),
        Kind::Message(_)
        | Kind::InvalidLength(..)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => "cannot be read".to_owned(),
    };
    SettingsFault { setting, message }
}
