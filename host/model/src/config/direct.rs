//! Which files a connector's tables may be read from, past the server, checked.

use super::place::{AzurePlace, HdfsPlace, Place, S3Place, Sections, Side, check_place};
use super::raw::{RawDirect, RawDirectFiles, RawDirectMode};
use super::store_url::{StoreUrl, encoded_path};
use crate::error::{Error, Result};

/// Whether and where tables are read from their files.
#[derive(Clone, Debug)]
pub struct Direct {
    /// Whether a table that cannot be is an error.
    pub always: bool,
    /// The folders that may be read; empty: any of a store that is not this machine.
    pub under: Vec<Location>,
    stores: RawDirectFiles,
}

/// A folder, as Hadoop's programs write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `hdfs`, `s3a`, `abfss`, `file`, ..
    pub scheme: String,
    /// The server, the bucket, or `container@account..`; may be empty.
    pub authority: String,
    /// The folder, with no slash at its ends, as it is: what looks like `%20` is that.
    pub path: String,
}

impl Location {
    /// Takes a URL apart.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "s3" | "s3n" => "s3a".to_owned(),
            other => other.to_owned(),
        };
        let path = path.trim_matches('/');
        let leads_elsewhere = path.split('/').any(|part| matches!(part, "." | ".."));
        (!leads_elsewhere).then(|| Self {
            scheme,
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Whether both are of one store.
    pub fn is_beside(&self, other: &Self) -> bool {
        (&self.scheme, &self.authority) == (&other.scheme, &other.authority)
    }

    /// Whether it is this folder or one in it.
    fn is_under(&self, folder: &Self) -> bool {
        let rest = self.path.strip_prefix(&folder.path);
        let is_in = |rest: &str| rest.is_empty() || rest.starts_with('/') || folder.path.is_empty();
        self.is_beside(folder) && rest.is_some_and(is_in)
    }
}

impl Direct {
    /// Whether the job allows to read a folder.
    pub fn allows(&self, location: &Location) -> bool {
        if self.under.is_empty() {
            location.scheme != "file"
        } else {
            self.under.iter().any(|folder| location.is_under(folder))
        }
    }

    /// The stores that the job says something of, for whoever looks whether it may.
    pub(super) fn stores(&self) -> Vec<Place> {
        let RawDirectFiles { s3, azure, hdfs, .. } = self.stores.clone();
        let side = Side::Source;
        let (none, nowhere) = (String::new, || "/".to_owned());
        let s3 =
            s3.map(|options| Place::S3(S3Place { side, bucket: none(), prefix: none(), options }));
        let azure = azure.map(|options| {
            Place::Azure(AzurePlace { side, container: none(), prefix: none(), options })
        });
        let hdfs = hdfs.map(|options| {
            Place::Hdfs(HdfsPlace { side, cluster: None, folder: nowhere(), options })
        });
        [s3, azure, hdfs].into_iter().flatten().collect()
    }

    /// The place of a folder.
    pub(super) fn place_of(&self, location: &Location) -> Result<Place> {
        let root = format!(
            "{}://{}/{}",
            location.scheme,
            location.authority,
            encoded_path(&location.path)
        );
        let url = StoreUrl::parse(&root, &root)?;
        let RawDirectFiles { s3, azure, hdfs, .. } = self.stores.clone();
        let sections = Sections { s3, azure, hdfs, sftp: None };
        check_place(Side::Source, sections.only(&location.scheme), &url)
    }

    /// The store that a folder is in, from its root.
    pub fn place(&self, location: &Location) -> Result<Place> {
        let root = format!("{}://{}/", location.scheme, location.authority);
        let url = StoreUrl::parse(&root, &root)?;
        let RawDirectFiles { s3, azure, hdfs, .. } = self.stores.clone();
        let sections = Sections { s3, azure, hdfs, sftp: None };
        check_place(Side::Source, sections.only(&location.scheme), &url)
    }
}

/// What a job says; nothing where it says never.
pub(super) fn check_direct(raw: RawDirect) -> Result<Option<Direct>> {
    let files = match raw {
        RawDirect::Word(files) => RawDirectFiles { files, ..Default::default() },
        RawDirect::Files(long) => *long,
    };
    let folder = |url: &String| {
        let named = StoreUrl::parse("source.direct.under", url)?;
        Location::parse(&named.as_hadoop()).ok_or_else(|| {
            Error::config(format!("`source.direct.under`: `{url}` is not a folder's URL"))
                .with_hint("write it as in hdfs://namenode:8020/warehouse")
        })
    };
    let under = files.under.iter().map(folder).collect::<Result<_>>()?;
    Ok(match files.files {
        RawDirectMode::Never => None,
        mode => Some(Direct { always: mode == RawDirectMode::Always, under, stores: files }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(mode: RawDirectMode, under: &[&str]) -> Direct {
        let under = under.iter().map(|url| (*url).to_owned()).collect();
        let raw = RawDirectFiles { files: mode, under, ..Default::default() };
        check_direct(RawDirect::Files(Box::new(raw))).unwrap().unwrap()
    }

    #[test]
    fn only_what_the_job_names_may_be_read() {
        let allows = |direct: &Direct, url: &str| {
            Location::parse(url).is_some_and(|location| direct.allows(&location))
        };
        let any = direct(RawDirectMode::Auto, &[]);
        assert!(allows(&any, "hdfs://nn:8020/warehouse/t") && !allows(&any, "file:/etc/t"));
        let some = direct(RawDirectMode::Always, &["hdfs://nn:8020/warehouse", "file:///lake"]);
        assert!(allows(&some, "hdfs://nn:8020/warehouse/t") && allows(&some, "file:/lake"));
        for other in [
            "hdfs://other:8020/warehouse/t",
            "hdfs://nn:8020/warehouse2/t",
            "hdfs://nn:8020/warehouse/../secret",
            "s3a://warehouse/t",
        ] {
            assert!(!allows(&some, other), "{other}");
        }
    }

    #[test]
    fn a_folders_name_is_taken_as_it_is() {
        let location = Location::parse("s3://bucket/t/k=a%2Fb/").unwrap();
        assert_eq!(location.path, "t/k=a%2Fb");
        assert_eq!((location.scheme.as_str(), location.authority.as_str()), ("s3a", "bucket"));
    }
}
