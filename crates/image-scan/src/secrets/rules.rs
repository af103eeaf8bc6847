//! The rules. Forms come from the issuers' documentation; where a token carries a checksum or a fixed marker, the rule
//! asks for it.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use super::Confidence;
use super::randomness::{entropy, has_github_checksum, has_placeholder_word, is_random};
use super::window::{AHEAD, Window, alphanumeric, base64, dotted, lower_hex, upper_base32, url_safe};

pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Texts of which one is part of every match; none is part of another rule's. Best of four bytes or more: each
    /// shorter one costs a search of its own.
    pub(super) anchors: &'static [&'static str],
    /// Looks around an anchor.
    pub(super) find: fn(&Window<'_>) -> Option<Hit>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The secret itself, in the window.
    pub(super) range: Range<usize>,
    pub(super) confidence: Confidence,
}

fn high(range: Option<Range<usize>>) -> Option<Hit> {
    range.map(|range| Hit { range, confidence: Confidence::High })
}

fn low(range: Option<Range<usize>>) -> Option<Hit> {
    range.map(|range| Hit { range, confidence: Confidence::Low })
}

macro_rules! rule {
    ($id:literal, $title:literal, [$($anchor:literal),+ $(,)?], $find:expr) => {
        Rule { id: $id, title: $title, anchors: &[$($anchor),+], find: $find }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!("aws-access-key", "AWS access key id with its secret", ["AKIA", "ASIA"], aws_key_pair),
    rule!(
        "aws-secret-access-key",
        "AWS secret access key",
        ["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"],
        |w| high(w.assigned(w.anchor.end, base64, 40..=40).filter(|v| is_random(w.text(v), 4.0)))
    ),
    rule!("github-token", "GitHub token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], github_token),
    rule!("github-fine-grained-token", "GitHub fine-grained token", ["github_pat_"], |w| {
        high(w.token(|b| alphanumeric(b) || b == b'_', 82..=82, 4.0))
    }),
    rule!("gitlab-token", "GitLab token", ["glpat-", "gldt-", "glrt-", "glptt-"], |w| {
        high(w.token(dotted, 20..=300, 3.5))
    }),
    rule!("slack-token", "Slack token", ["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-"], |w| {
        let numbered =
            |token: &Range<usize>| w.bytes[w.anchor.end].is_ascii_digit() && w.text(token)[5..].contains(&b'-');
        high(w.token(url_safe, 24..=250, 3.0).filter(numbered))
    }),
    rule!("slack-app-token", "Slack app token", ["xapp-1-"], |w| high(w.token(url_safe, 60..=250, 3.0))),
    rule!("slack-webhook", "Slack incoming webhook", ["hooks.slack.com/services/"], slack_webhook),
    rule!("stripe-key", "Stripe live key", ["sk_live_", "rk_live_"], |w| high(w.token(alphanumeric, 24..=247, 3.5))),
    rule!("google-api-key", "Google API key", ["AIza"], |w| {
        // Those of browser applications are public by design.
        low(w.token(url_safe, 35..=35, 4.0))
    }),
    rule!("google-oauth-secret", "Google OAuth client secret", ["GOCSPX-"], |w| high(w.token(url_safe, 28..=28, 3.5))),
    rule!("npm-token", "npm token", ["npm_"], |w| high(w.token(alphanumeric, 36..=36, 4.0))),
    rule!("npmrc-auth-token", "npm registry token in .npmrc", ["_authToken"], |w| {
        // npm's own tokens have their rule.
        let foreign = |v: &Range<usize>| !w.text(v).starts_with(b"npm_");
        let value = w.assigned(w.anchor.end, |b| base64(b) || url_safe(b), 16..=1024);
        high(value.filter(|v| foreign(v) && is_random(w.text(v), 3.5)))
    }),
    rule!("pypi-token", "PyPI token", ["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZ"], |w| {
        high(w.token(url_safe, 50..=1000, 4.0))
    }),
    rule!("openai-key", "OpenAI key", ["T3BlbkFJ"], openai_key),
    rule!("anthropic-key", "Anthropic key", ["sk-ant-"], |w| high(w.token(url_safe, 86..=200, 4.0))),
    rule!("openrouter-key", "OpenRouter key", ["sk-or-v1-"], |w| high(w.token(lower_hex, 64..=64, 3.0))),
    rule!("huggingface-token", "Hugging Face token", ["hf_"], |w| {
        high(w.token(|b| b.is_ascii_alphabetic(), 34..=34, 4.0))
    }),
    rule!("sendgrid-key", "SendGrid key", ["SG."], sendgrid_key),
    rule!(
        "twilio-auth-token",
        "Twilio auth token",
        ["TWILIO_AUTH_TOKEN", "twilio_auth_token", "TWILIO_API_SECRET", "twilio_api_secret"],
        |w| high(w.assigned(w.anchor.end, alphanumeric, 32..=32).filter(|v| is_random(w.text(v), 3.0)))
    ),
    rule!("digitalocean-token", "DigitalOcean token", ["dop_v1_", "doo_v1_", "dor_v1_"], |w| {
        high(w.token(lower_hex, 64..=64, 3.0))
    }),
    rule!("telegram-bot-token", "Telegram bot token", [":AAE", ":AAF", ":AAG", ":AAH"], telegram_bot_token),
    rule!("private-key", "Unencrypted private key", ["PRIVATE KEY-----"], private_key),
    rule!("age-secret-key", "age secret key", ["AGE-SECRET-KEY-1"], |w| {
        high(w.token(|b| b.is_ascii_uppercase() || b.is_ascii_digit(), 58..=58, 3.5))
    }),
    rule!("docker-config-auth", "Docker registry credential", ["\"auths\""], docker_auth),
    rule!("docker-hub-token", "Docker Hub access token", ["dckr_pat_"], |w| high(w.token(url_safe, 27..=32, 3.5))),
    rule!("shopify-token", "Shopify token", ["shpat_", "shpca_", "shppa_"], |w| {
        high(w.token(|b| b.is_ascii_hexdigit(), 32..=32, 3.0))
    }),
    rule!("vault-token", "HashiCorp Vault token", ["hvs."], |w| high(w.token(url_safe, 90..=300, 4.0))),
    rule!("databricks-token", "Databricks token", ["dapi"], |w| high(w.token(lower_hex, 32..=32, 3.0))),
    rule!("grafana-token", "Grafana service account token", ["glsa_"], |w| {
        high(w.token(|b| alphanumeric(b) || b == b'_', 41..=41, 3.5))
    }),
    rule!("postman-key", "Postman key", ["PMAK-"], |w| high(w.token(|b| lower_hex(b) || b == b'-', 59..=59, 3.0))),
    rule!("rubygems-key", "RubyGems key", ["rubygems_"], |w| high(w.token(lower_hex, 48..=48, 3.0))),
    rule!("azure-storage-key", "Azure storage account key", ["AccountKey="], |w| {
        let full = |key: &Range<usize>| w.text(key).ends_with(b"==") && is_random(w.text(key), 4.5);
        high(Some(w.run(w.anchor.end, base64, 89)).filter(|key| key.len() == 88 && full(key)))
    }),
    rule!("json-web-token", "JSON web token", ["eyJhbGciOi"], json_web_token),
];

/// The id alone is no secret; with forty random characters beside it, it is a pair.
fn aws_key_pair(window: &Window<'_>) -> Option<Hit> {
    let id = window.token(upper_base32, 16..=16, 3.0)?;
    let is_secret = |text: &[u8]| {
        text.len() == 40 && !text.contains(&b'=') && is_random(text, 4.2) && !text.iter().all(u8::is_ascii_hexdigit)
    };
    let near = window.bytes.len().min(id.end + 512);
    let has_secret = window.bytes[..near].split(|byte| !base64(*byte) || *byte == b'=').any(is_secret);
    high(has_secret.then_some(id))
}

fn github_token(window: &Window<'_>) -> Option<Hit> {
    let token = window.token(alphanumeric, 36..=36, 3.5)?;
    if has_github_checksum(&window.text(&token)[4..]) { high(Some(token)) } else { low(Some(token)) }
}

/// `T…/B…/` and twenty-four characters.
fn slack_webhook(window: &Window<'_>) -> Option<Hit> {
    let path = window.run(window.anchor.end, |byte| alphanumeric(byte) || byte == b'/', 100);
    let mut parts = window.text(&path).split(|byte| *byte == b'/');
    let (team, service, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = team.starts_with(b"T")
        && service.starts_with(b"B")
        && team.len() >= 9
        && service.len() >= 9
        && secret.len() == 24
        && is_random(secret, 3.5);
    let length = team.len() + service.len() + secret.len() + 2;
    high(fits.then_some(path.start..path.start + length))
}

/// Every OpenAI key has the anchor (base64 of "OpenAI") in its middle.
fn openai_key(window: &Window<'_>) -> Option<Hit> {
    const MAX_LENGTH: usize = 220;
    let start = word_start(window, MAX_LENGTH, url_safe);
    if !window.bytes[start..].starts_with(b"sk-") {
        return None;
    }
    let token = start..window.run(window.anchor.end, url_safe, MAX_LENGTH).end;
    let fits = (48..=MAX_LENGTH).contains(&token.len()) && is_random(window.text(&token), 4.0);
    high(fits.then_some(token))
}

/// Where the run of `alphabet` before the anchor starts, at most `max` bytes before it.
fn word_start(window: &Window<'_>, max: usize, alphabet: fn(u8) -> bool) -> usize {
    let first = window.anchor.start.saturating_sub(max);
    let before = &window.bytes[first..window.anchor.start];
    before.iter().rposition(|byte| !alphabet(*byte)).map_or(first, |at| first + at + 1)
}

/// `SG.` with parts of 22 and 43 characters.
fn sendgrid_key(window: &Window<'_>) -> Option<Hit> {
    let token = window.token(dotted, 66..=66, 4.0)?;
    high((window.bytes[window.anchor.end + 22] == b'.').then_some(token))
}

/// The bot's number, a colon, and 35 characters that begin with the anchor's.
fn telegram_bot_token(window: &Window<'_>) -> Option<Hit> {
    let start = word_start(window, 11, |byte| byte.is_ascii_digit());
    let secret = window.run(window.anchor.start + 1, url_safe, 36);
    let fits = window.starts_word(start)
        && (8..=10).contains(&(window.anchor.start - start))
        && secret.len() == 35
        && is_random(window.text(&secret), 4.0);
    high(fits.then_some(start..secret.end))
}

/// A PEM block with a body: PKCS #1, PKCS #8, SEC 1 or OpenSSH, not encrypted. Line breaks may be written as `\n`, as in
/// service account files.
fn private_key(window: &Window<'_>) -> Option<Hit> {
    /// What an OpenSSH key starts with when its cipher is "none" (PROTOCOL.key of OpenSSH), as base64.
    const OPENSSH_UNENCRYPTED: &[u8] = b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    let before = &window.bytes[..window.anchor.start];
    let begin = memmem::rfind(before, b"-----BEGIN ")?;
    let label = &before[begin + "-----BEGIN ".len()..];
    if !matches!(label, b"" | b"RSA " | b"EC " | b"DSA " | b"OPENSSH ") {
        return None;
    }
    let mut start = window.anchor.end;
    loop {
        let gap = window.run(start, |byte| byte.is_ascii_whitespace(), 16);
        start = gap.end;
        match window.bytes.get(start..start + 2) {
            Some(b"\\n" | b"\\r") => start += 2,
            _ => break,
        }
    }
    let body = window.run(start, base64, 80);
    let text = window.text(&body);
    let is_open = label != b"OPENSSH " || text.starts_with(OPENSSH_UNENCRYPTED);
    // Real keys start with headers that hold runs of one character.
    let is_real = text.len() >= 48 && entropy(text) >= 3.0 && !has_placeholder_word(text);
    high((is_open && is_real).then_some(body))
}

/// A Docker client configuration with a password, not only a list of registries.
fn docker_auth(window: &Window<'_>) -> Option<Hit> {
    const KEY: &[u8] = b"\"auth\"";
    let rest = &window.bytes[window.anchor.end..];
    // Eight registries are plenty, and keep the search short in files made of nothing else.
    let values = memmem::find_iter(rest, KEY)
        .take(8)
        .filter_map(|at| window.assigned(window.anchor.end + at + KEY.len(), base64, 8..=1024));
    let mut values = values.filter(|value| has_password(window.text(value)));
    high(values.next())
}

fn has_password(value: &[u8]) -> bool {
    let Ok(decoded) = STANDARD.decode(value) else { return false };
    let Some((user, password)) = memchr::memchr(b':', &decoded).map(|at| (&decoded[..at], &decoded[at + 1..])) else {
        return false;
    };
    !user.is_empty() && password.len() >= 8 && !has_placeholder_word(password)
}

/// Header, payload and signature. Many are test values or long expired.
fn json_web_token(window: &Window<'_>) -> Option<Hit> {
    if !window.starts_word(window.anchor.start) {
        return None;
    }
    let token = window.anchor.start..window.run(window.anchor.end, dotted, AHEAD).end;
    let parts: Vec<&[u8]> = window.text(&token).split(|byte| *byte == b'.').collect();
    let [_, payload, signature] = *parts else { return None };
    low((payload.starts_with(b"eyJ") && signature.len() >= 40 && is_random(signature, 4.0)).then_some(token))
}

/// Whether a file is test data or an example inside an installed third-party package, or part of the sources that cargo
/// or go fetched. What is published there is no secret of the author's; it is still reported, with low confidence. The
/// author's own tests are no exception.
pub(super) fn is_published_test_data(path: &str) -> bool {
    const PACKAGES: [&str; 4] = ["node_modules", "site-packages", "dist-packages", "gems"];
    const TEST_DATA: [&str; 11] = [
        "test",
        "tests",
        "testing",
        "testdata",
        "test_data",
        "__tests__",
        "spec",
        "fixtures",
        "example",
        "examples",
        "docs",
    ];
    let in_fetched_sources = ["registry/src/index.crates.io-", "go/pkg/mod/"].iter().any(|place| path.contains(place));
    if in_fetched_sources || path.starts_with("usr/share/doc/") || path.starts_with("usr/share/perl/") {
        return true;
    }
    let mut parts = path.split('/');
    let in_standard_library = path.starts_with("usr/lib/python") || path.starts_with("usr/local/lib/python");
    (in_standard_library || parts.any(|part| PACKAGES.contains(&part)))
        && path.split('/').any(|part| TEST_DATA.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{SecretFinding, SecretSearch};

    fn found(text: &str) -> Vec<SecretFinding> {
        let mut search = SecretSearch::new();
        search.begin();
        search.write(text.as_bytes());
        search.end("app/config");
        search.finish().0
    }

    /// A text that looks random; the same every time.
    fn random(alphabet: &str, length: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()]
        };
        (0..length).map(|_| next()).collect()
    }

    const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const ALPHA: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const HEX: &str = "0123456789abcdef";
    const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

    /// One text per rule that has to be found.
    fn positives() -> Vec<(&'static str, String)> {
        let a = |n| random(ALNUM, n);
        let h = |n| random(HEX, n);
        let pem = |label: &str, body: &str| {
            format!("-----BEGIN {label}PRIVATE KEY-----\n{body}\n{}\n-----END {label}PRIVATE KEY-----\n", a(64))
        };
        let ssh = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW";
        let auth = STANDARD.encode("robot:s3cretpassw0rd");
        vec![
            ("aws-access-key", format!("[default]\nid = AKIA{}\nsecret = {}\n", random(BASE32, 16), a(40))),
            ("aws-secret-access-key", format!("aws_secret_access_key = {}\n", a(40))),
            ("aws-secret-access-key", format!("\"SecretAccessKey\": \"{}\"", a(40))),
            ("github-token", "token: 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".to_owned()),
            ("github-fine-grained-token", format!("github_pat_{}_{}", a(22), a(59))),
            ("gitlab-token", format!("'glpat-{}'", a(20))),
            ("slack-token", format!("xoxb-123412341234-123412341234-{}", a(24))),
            ("slack-app-token", format!("xapp-1-A{}-1234-{}", a(10).to_uppercase(), h(64))),
            ("slack-webhook", format!("https://hooks.slack.com/services/TAB12CD34/BAB12CD34/{}", a(24))),
            ("stripe-key", format!("sk_live_{}", a(24))),
            ("google-api-key", format!("key=AIza{}", a(35))),
            ("google-oauth-secret", format!("GOCSPX-{}", a(28))),
            ("npm-token", format!("//registry.npmjs.org/:_authToken=npm_{}", a(36))),
            ("npmrc-auth-token", format!("//npm.corp.test/:_authToken={}", a(40))),
            ("pypi-token", format!("password = pypi-AgEIcHlwaS5vcmc{}", a(120))),
            ("openai-key", format!("sk-proj-{}T3BlbkFJ{}", a(58), a(58))),
            ("anthropic-key", format!("sk-ant-api03-{}AA", a(93))),
            ("openrouter-key", format!("sk-or-v1-{}", h(64))),
            ("huggingface-token", format!("hf_{}", random(ALPHA, 34))),
            ("sendgrid-key", format!("SG.{}.{}", a(22), a(43))),
            ("twilio-auth-token", format!("TWILIO_AUTH_TOKEN={}", h(32))),
            ("digitalocean-token", format!("dop_v1_{}", h(64))),
            ("telegram-bot-token", format!("bot 123456789:AAE{}", a(32))),
            ("private-key", pem("RSA ", &a(64))),
            ("private-key", pem("", &a(64))),
            ("private-key", pem("OPENSSH ", ssh)),
            ("private-key", format!("\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{}\\n\"", a(64))),
            ("age-secret-key", format!("AGE-SECRET-KEY-1{}", random("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58))),
            ("docker-config-auth", format!("{{\"auths\": {{\"r.test\": {{\"auth\": \"{auth}\"}}}}}}")),
            ("docker-hub-token", format!("dckr_pat_{}", a(27))),
            ("shopify-token", format!("shpat_{}", h(32))),
            ("vault-token", format!("hvs.{}", a(95))),
            ("databricks-token", format!("dapi{}", h(32))),
            ("grafana-token", format!("glsa_{}_{}", a(32), h(8))),
            ("postman-key", format!("PMAK-{}-{}", h(24), random(HEX, 34))),
            ("rubygems-key", format!("rubygems_{}", h(48))),
            ("azure-storage-key", format!("AccountName=x;AccountKey={}==;EndpointSuffix=y", a(86))),
            ("json-web-token", format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", a(60), a(43))),
        ]
    }

    #[test]
    fn every_rule_finds_its_secret_and_only_that() {
        for (rule, text) in positives() {
            let findings = found(&text);
            assert_eq!(findings.iter().map(|f| &*f.rule).collect::<Vec<_>>(), [rule], "{text}");
        }
        let tested: std::collections::BTreeSet<_> = positives().into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(tested, RULES.iter().map(|rule| rule.id).collect(), "each rule has an example");
    }

    #[test]
    fn examples_placeholders_and_public_halves_are_not_secrets() {
        let a = |n| random(ALNUM, n);
        for text in [
            "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            format!("AKIA{} alone", random(BASE32, 16)),
            format!("xghp_{}", a(36)),
            format!("ghp_{}", a(35)),
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
            "_authToken=${NPM_TOKEN}".to_owned(),
            "_authToken=YOUR_TOKEN_GOES_HERE".to_owned(),
            "if line == \"-----BEGIN RSA PRIVATE KEY-----\":".to_owned(),
            format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}\n", a(64)),
            format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0\n\n{}\n", a(64)),
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI{}\n", a(40)),
            format!("-----BEGIN PUBLIC KEY-----\n{}\n", a(64)),
            "{\"auths\": {\"r.test\": {}}}".to_owned(),
            "aws_secret_access_key = <secret>".to_owned(),
            "sk_live_example".to_owned(),
        ] {
            assert_eq!(found(&text), [], "{text}");
        }
    }

    #[test]
    fn a_github_token_with_a_wrong_checksum_counts_little() {
        assert_eq!(found("ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18")[0].confidence, Confidence::Low);
    }

    #[test]
    fn no_anchor_hides_another() {
        let anchors: Vec<_> = RULES.iter().flat_map(|rule| rule.anchors).collect();
        for (at, anchor) in anchors.iter().enumerate() {
            for other in &anchors[at + 1..] {
                assert!(!anchor.contains(*other) && !other.contains(*anchor), "{anchor} {other}");
            }
        }
    }

    #[test]
    fn only_test_data_of_installed_packages_is_published() {
        for (path, published) in [
            ("app/node_modules/x/test/key.pem", true),
            ("usr/lib/python3.11/test/certdata/keycert.pem", true),
            ("usr/lib/python3/dist-packages/x/tests/key.pem", true),
            ("usr/share/doc/openssl/key.pem", true),
            ("root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pem-4.0.0/README.md", true),
            ("app/tests/key.pem", false),
            ("app/node_modules/x/lib/key.pem", false),
            ("etc/ssl/private/tests/key.pem", false),
        ] {
            assert_eq!(is_published_test_data(path), published, "{path}");
        }
    }
}
