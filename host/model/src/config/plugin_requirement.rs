//! Which plugin somebody wants: `postgres`, `postgres@0.2`, `postgres@sha256:4f1c..`.

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};

use crate::error::{Error, Result};

/// The fewest digits of a digest that pin a plugin.
const DIGEST_MIN_DIGITS: usize = 8;

/// Which plugin is wanted. Without anything: whichever answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginRequirement {
    /// Its name.
    pub name: Option<String>,
    /// Which of that name.
    pub pin: Option<Pin>,
}

/// One version, or one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// `1.2` fits 1.2.0 and 1.2.7, `1.2.7` only itself.
    Version(VersionReq),
    /// The beginning of a component's SHA-256, in hex.
    Digest(String),
}

impl PluginRequirement {
    /// Of what is wanted, exactly this component.
    pub fn pinned(&self, digest: &str) -> Self {
        Self { name: self.name.clone(), pin: Some(Pin::Digest(digest.to_owned())) }
    }

    /// Whether a plugin is one that is wanted.
    pub fn fits(&self, name: &str, version: &Version, digest: &str) -> bool {
        let pinned = match &self.pin {
            None => true,
            Some(Pin::Version(wanted)) => wanted.matches(version),
            Some(Pin::Digest(wanted)) => digest.starts_with(wanted),
        };
        pinned && self.name.as_ref().is_none_or(|wanted| wanted == name)
    }
}

impl FromStr for PluginRequirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::config(format!("`{text}` {what}"))
                .with_hint("write NAME, NAME@1.2, NAME@1.2.3 or NAME@sha256:DIGEST")
        };
        let (name, pin) = match text.split_once('@') {
            Some((name, pin)) => (name, Some(pin)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(wrong("names no plugin"));
        }
        let pin = match pin.map(|pin| (pin, pin.strip_prefix("sha256:"))) {
            None => None,
            Some((_, Some(digest))) => {
                let is_hex =
                    digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if !is_hex || digest.len() < DIGEST_MIN_DIGITS {
                    return Err(wrong("does not end in a digest of 8 hexadecimal digits or more"));
                }
                Some(Pin::Digest(digest.to_owned()))
            }
            Some((version, None)) => {
                let fits = version.split('.').count() <= 3
                    && version.split('.').all(|part| part.parse::<u64>().is_ok());
                let parsed = VersionReq::parse(&format!("={version}"));
                Some(Pin::Version(
                    parsed
                        .ok()
                        .filter(|_| fits)
                        .ok_or_else(|| wrong("does not end in a version"))?,
                ))
            }
        };
        Ok(Self { name: Some(name.to_owned()), pin })
    }
}

impl fmt::Display for PluginRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("any"))?;
        match &self.pin {
            None => Ok(()),
            Some(Pin::Version(version)) => {
                write!(f, "@{}", version.to_string().trim_start_matches('='))
            }
            Some(Pin::Digest(digest)) => write!(f, "@sha256:{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(wanted: &str, version: &str) -> bool {
        match wanted.parse::<PluginRequirement>().unwrap().pin {
            Some(Pin::Version(wanted)) => wanted.matches(&Version::parse(version).unwrap()),
            _ => panic!("no version"),
        }
    }

    #[test]
    fn a_version_pins_as_far_as_it_is_written() {
        assert!(fits("postgres@1.2", "1.2.0") && fits("postgres@1.2", "1.2.9"));
        assert!(!fits("postgres@1.2", "1.3.0") && !fits("postgres@1.2.3", "1.2.4"));
        assert!(fits("postgres@1", "1.9.1") && !fits("postgres@1", "2.0.0"));
    }

    #[test]
    fn what_is_wanted_is_read_and_shown_alike() {
        for text in ["mask", "mask@1.2", "mask@0.2.1", "mask@sha256:0123abcd"] {
            assert_eq!(text.parse::<PluginRequirement>().unwrap().to_string(), text);
        }
        for wrong in ["", "@1.2", "mask@", "mask@new", "mask@>1", "mask@1.2.3.4", "mask@sha256:xy"]
        {
            assert!(wrong.parse::<PluginRequirement>().is_err(), "{wrong}");
        }
    }
}
