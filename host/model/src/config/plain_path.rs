//! Paths as people write them, where a URL can be: absolute, relative, or in the home folder.

use std::env;
use std::path::{Component, Path, PathBuf};

use super::place::Side;
use super::store_url::{WILDCARDS, encoded_path};
use crate::error::{Error, Result};

/// Whether a text begins with a scheme. A file whose name does so is written `./s3:`.
pub fn is_url(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// The URL that a text means: it is one, or a path beside `folder`. Only a source can be a pattern.
pub fn to_url(at: &str, text: &str, folder: &Path, side: Side) -> Result<String> {
    if is_url(text) {
        return Ok(text.to_owned());
    }
    if text.is_empty() || text.contains(char::is_control) {
        return Err(Error::config(format!("`{at}`: `{text}` names no file and no folder"))
            .with_hint("write a path, or a URL as in file:///lake/shop"));
    }
    let path = whole(at, text, folder)?;
    let is_there = path.symlink_metadata().is_ok();
    let text_of_path = path.to_str().ok_or_else(|| {
        Error::config(format!("`{at}`: {} is not UTF-8", path.display()))
            .with_hint("rename the folder, or link to it by another name")
    })?;
    // A path is a name, unless only a pattern makes sense of it.
    let url = if side == Side::Source && !is_there && text_of_path.contains(WILDCARDS) {
        let encoded = text_of_path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        format!("file://{encoded}")
    } else {
        format!("file://{}", encoded_path(text_of_path))
    };
    let is_folder = text.ends_with('/') || (side == Side::Source && path.is_dir());
    Ok(if is_folder && !url.ends_with('/') { format!("{url}/") } else { url })
}

/// The path from the root, without `.` and `..`.
fn whole(at: &str, text: &str, folder: &Path) -> Result<PathBuf> {
    let path = match text.strip_prefix('~') {
        None => folder.join(text),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
                Error::config(format!("`{at}`: `~` stands for the home folder, and there is none"))
                    .with_hint("write the whole path, or set HOME")
            })?;
            home.join(rest.trim_start_matches('/'))
        }
        Some(_) => {
            return Err(Error::config(format!("`{at}`: `{text}`: only one's own `~/` is known"))
                .with_hint("write the whole path; `./~` begins a name with the character"));
        }
    };
    let path = std::path::absolute(&path).map_err(|error| Error::io(path.display(), error))?;
    let mut whole = PathBuf::new();
    for component in path.components() {
        match component {
            // What is above a link is above what it leads to.
            Component::ParentDir => {
                whole = whole.canonicalize().unwrap_or(whole);
                whole.pop();
            }
            other => whole.push(other),
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str, folder: &Path, side: Side) -> String {
        to_url("source.url", text, folder, side).unwrap()
    }

    #[test]
    fn a_path_means_one_url() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(here.join("in.d")).unwrap();
        std::fs::write(here.join("50%[1].csv"), "a\n").unwrap();
        let base = format!("file://{}", here.display());
        for (text, expected) in [
            ("a b.csv", "/a b.csv"),
            ("./s3:", "/s3%3A"),
            ("in.d", "/in.d/"),
            ("in.d/../x#1?.csv", "/x%231%3F.csv"),
            ("50%[1].csv", "/50%25%5B1].csv"),
            ("*.csv", "/*.csv"),
            ("out/", "/out/"),
        ] {
            assert_eq!(url(text, &here, Side::Source), format!("{base}{expected}"), "{text}");
        }
        assert_eq!(url("*.csv", &here, Side::Target), format!("{base}/%2A.csv"));
        assert_eq!(url("/", &here, Side::Source), "file:///");
        assert_eq!(url("tpch:", &here, Side::Source), "tpch:");
        assert_eq!(url("s3://b/c", &here, Side::Target), "s3://b/c");
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["", "a\nb", "~somebody/x"] {
            assert!(to_url("source.url", text, Path::new("/"), Side::Source).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_above_a_link_is_above_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(here.join("deep/er")).unwrap();
        std::os::unix::fs::symlink(here.join("deep/er"), here.join("link")).unwrap();
        let expected = format!("file://{}/deep/x", here.display());
        assert_eq!(url("link/../x", &here, Side::Source), expected);
    }
}
