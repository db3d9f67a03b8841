//! A URL of a store, taken apart. It is decoded here, once; what comes of it is a name and no URL, and a name is
//! never decoded.

use std::fmt::Write;

use glob::Pattern;
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// The characters that make a pattern of a name, where they are written and not encoded.
pub(super) const WILDCARDS: [char; 3] = ['*', '?', '['];

/// A URL of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    /// Before the colon, in lower case.
    pub scheme: String,
    /// Before the `@`.
    pub user: String,
    /// Behind the user.
    pub password: Option<String>,
    /// The bucket, the container, the server; may be empty.
    pub host: String,
    /// Behind the host.
    pub port: Option<u16>,
    /// The path's names.
    pub path: Vec<Name>,
}

/// A name in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Decoded.
    pub text: String,
    /// The pattern that it is, if it is one; what was encoded in it stands for itself.
    pub pattern: Option<String>,
    /// As a URL has it: a pattern as it was written, all else with as much encoded as must be.
    shown: String,
}

impl StoreUrl {
    /// Takes a URL apart; `at` says where the job names it.
    pub fn parse(at: &str, text: &str) -> Result<Self> {
        let refused = |cause: &str, hint: &str| {
            Err(Error::config(format!("`{at}`: {cause}")).with_hint(hint))
        };
        if text.trim() != text || text.contains(char::is_control) {
            return refused(
                "the URL has a blank at an end, or a character that no URL has",
                "write such characters as %XX",
            );
        }
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
        else {
            return refused("that is no URL", "write it as in file:///lake/shop");
        };
        if rest.contains(['?', '#']) {
            return refused(
                "the URL holds `?` or `#`",
                "write %3F or %23 for them in a name; name a pattern with `?` under `tables`",
            );
        }
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if rest.starts_with('/') => ("", rest),
            None => {
                return refused(
                    "the URL's path is not absolute",
                    "write it as in file:///lake/shop",
                );
            }
        };
        let mut path = path.trim_matches('/').split('/').filter(|name| !name.is_empty()).peekable();
        if scheme == "file" && path.peek().is_some_and(|first| first.starts_with('~')) {
            return refused(
                "`~` stands for no folder in a URL",
                "write the whole path; %7E is the character",
            );
        }
        let path = path.map(|raw| Name::parse(at, raw)).collect::<Result<_>>()?;
        let url = Self { scheme, path, ..Self::authority(at, authority)? };
        match url.scheme.as_str() {
            "file" if !matches!(url.host.as_str(), "" | "localhost") => refused(
                "a file's URL names a server",
                "write it as in file:///lake/shop, with three slashes",
            ),
            _ => Ok(url),
        }
    }

    /// `user:password@host:port`
    fn authority(at: &str, text: &str) -> Result<Self> {
        let (login, place) = text.rsplit_once('@').unwrap_or(("", text));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded(at, password)?)),
            None => (login, None),
        };
        let port = |text: &str| {
            text.parse().map_err(|_| {
                Error::config(format!("`{at}`: `{text}` is no port"))
                    .with_hint("write a number up to 65535")
            })
        };
        let (host, port) = match place.rsplit_once(':').filter(|(host, _)| !host.is_empty()) {
            Some((host, digits)) if !digits.contains(']') => (host, Some(port(digits)?)),
            _ => (place, None),
        };
        Ok(Self {
            scheme: String::new(),
            user: decoded(at, user)?,
            password,
            host: decoded(at, host)?,
            port,
            path: Vec::new(),
        })
    }

    /// The path, without a slash at its beginning.
    pub fn inner_path(&self) -> String {
        joined(&self.path)
    }

    /// As Hadoop's programs write it, which decode nothing: without the password.
    pub fn as_hadoop(&self) -> String {
        let user = if self.user.is_empty() { String::new() } else { format!("{}@", self.user) };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{user}{}{port}/{}", self.scheme, self.host, self.inner_path())
    }

    /// As people write it: without the password, and read back as the same.
    pub fn shown(&self) -> String {
        let mut text = format!("{}://", self.scheme);
        if !self.user.is_empty() {
            text += &encoded(&self.user).replace('/', "%2F");
            text.push('@');
        }
        text += &encoded_host(&self.host);
        if let Some(port) = self.port {
            // Writing to a text does not fail.
            let _ = write!(text, ":{port}");
        }
        for name in &self.path {
            text.push('/');
            text += &name.shown;
        }
        if self.path.is_empty() && self.host.is_empty() {
            text.push('/');
        }
        text
    }
}

impl Name {
    fn parse(at: &str, raw: &str) -> Result<Self> {
        let text = decoded(at, raw)?;
        if matches!(text.as_str(), "." | "..")
            || text.contains('/')
            || text.contains(char::is_control)
        {
            return Err(Error::config(format!("`{at}`: `{raw}` names nothing in a path"))
                .with_hint("write the path that it means"));
        }
        let pattern = raw.contains(WILDCARDS).then(|| pattern(at, raw)).transpose()?;
        let shown = if pattern.is_some() { end_encoded(raw) } else { encoded(&text) };
        Ok(Self { text, pattern, shown })
    }
}

/// Names with slashes between them.
pub fn joined(path: &[Name]) -> String {
    path.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join("/")
}

/// A name as the pattern that it is; what is encoded in it stands for itself.
fn pattern(at: &str, raw: &str) -> Result<String> {
    let mut pattern = String::new();
    let mut rest = raw;
    while let Some(escape) = rest.find('%') {
        pattern += &rest[..escape];
        let end = rest[escape..]
            .find(|c: char| !(c == '%' || c.is_ascii_hexdigit()))
            .map_or(rest.len(), |n| escape + n);
        // As many whole escapes as there are.
        let mut encoded = &rest[escape..end];
        let length = encoded
            .as_bytes()
            .chunks(3)
            .take_while(|chunk| chunk[0] == b'%' && chunk.len() == 3)
            .count()
            * 3;
        encoded = &encoded[..length];
        pattern += &Pattern::escape(&decoded(at, encoded)?);
        rest = &rest[escape + length..];
        if length == 0 {
            break;
        }
    }
    Ok(pattern + rest)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Decodes once; every `%` must be the beginning of an escape.
fn decoded(at: &str, text: &str) -> Result<String> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if !escapes.all(|(place, _)| is_hex(bytes.get(place + 1)) && is_hex(bytes.get(place + 2))) {
        return Err(Error::config(format!("`{at}`: a `%` without two digits behind it"))
            .with_hint("write %25 for the character"));
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        Error::config(format!("`{at}`: what its %XX stand for is not UTF-8"))
            .with_hint("correct them")
    })
}

/// A name as a URL has it: what would mean something else there is encoded.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let last = name.trim_end().len();
    for (place, c) in name.char_indices() {
        let means_more = c.is_control() || "%?#*[@:".contains(c);
        // A URL has no blanks at its end.
        let is_end = place >= last;
        if means_more || is_end || (place == 0 && c == '~') {
            push_encoded(&mut text, c)
        } else {
            text.push(c)
        }
    }
    text
}

/// A pattern as it was written: but a URL has no blanks at its end.
fn end_encoded(raw: &str) -> String {
    let kept = raw.trim_end();
    let mut text = kept.to_owned();
    raw[kept.len()..].chars().for_each(|c| push_encoded(&mut text, c));
    text
}

/// A server's name as a URL has it; `[::1]` is one.
fn encoded_host(host: &str) -> String {
    let mut text = String::with_capacity(host.len());
    for c in host.chars() {
        let ends_it = c == ':' && !host.starts_with('[');
        if c.is_control() || c.is_whitespace() || ends_it || "%?#@/".contains(c) {
            push_encoded(&mut text, c)
        } else {
            text.push(c)
        }
    }
    text
}

fn push_encoded(text: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a text does not fail.
        let _ = write!(text, "%{byte:02X}");
    }
}

/// A path as a URL has it, from its names as they are.
pub fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<StoreUrl> {
        StoreUrl::parse("target.url", text)
    }

    #[test]
    fn a_url_means_one_place() {
        let path = |text: &str| parse(text).unwrap().inner_path();
        for (url, expected) in [
            ("file:///src/50%2541/r.csv", "src/50%41/r.csv"),
            ("file:///src/50%41", "src/50A"),
            ("file:/lake/shop/", "lake/shop"),
            ("s3://bucket/pre%3Ffix/a%23b", "pre?fix/a#b"),
            ("s3://bucket", ""),
            ("file:///lake/a b\\c", "lake/a b\\c"),
            ("file:///lake/%7Ex", "lake/~x"),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
        let sftp = parse("sftp://me%40x:p%3Aw@host:2222/lake").unwrap();
        assert_eq!((sftp.user.as_str(), sftp.password.as_deref()), ("me@x", Some("p:w")));
        assert_eq!(
            (sftp.host.as_str(), sftp.port, sftp.shown().as_str()),
            ("host", Some(2222), "sftp://me%40x@host:2222/lake")
        );
        let hadoop = |text: &str| parse(text).unwrap().as_hadoop();
        assert_eq!(hadoop("hdfs://nn:8020/a%20b/%2525"), "hdfs://nn:8020/a b/%25");
        assert_eq!(hadoop("abfss://c@x.net/"), "abfss://c@x.net/");
    }

    #[test]
    fn what_means_no_place_is_refused() {
        for url in [
            "file:./lake",
            "file:lake",
            "file:///~/lake",
            "file:///lake/x#1/y",
            "s3://bucket/pre?fix",
            "file://lake/shop",
            "file:///a/../b",
            "file:///a/%2e%2e/b",
            "file:///a%2Fb",
            "file:///a%zz",
            "file:///a%ff",
            " file:///a",
            "file:///a\n",
            "/lake",
            "lake",
            "s3://bucket:x/a",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_encoded_makes_no_pattern() {
        let names = parse("file:///raw/2*/a%2A[b]%5B1%5D").unwrap().path;
        assert_eq!(names[0].pattern, None);
        assert_eq!(names[1].pattern.as_deref(), Some("2*"));
        assert_eq!(names[2].pattern.as_deref(), Some("a[*][b][[]1[]]"));
        assert_eq!(names[2].text, "a*[b][1]");
        for url in [
            "file:///a*%3F%23%25",
            "file:///[ab]%2A/%20",
            "s3://a%3Ab/*%20",
            "file:///a* /",
            "s3://b/c%20",
        ] {
            let read = parse(url).unwrap();
            assert_eq!(parse(&read.shown()).unwrap(), read, "{url}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(names in prop::collection::vec("[ -.0-~é☃]{1,8}", 0..4)) {
            prop_assume!(names.iter().all(|name| name != "." && name != ".."));
            let url = format!("s3://bucket/{}", encoded_path(&names.join("/")));
            let read = parse(&url).unwrap();
            prop_assert_eq!(read.inner_path(), names.join("/"));
            prop_assert_eq!(parse(&read.shown()).unwrap(), read);
        }
    }
}
