//! The catalog that a run's folders become tables of, checked.

use serde_json::Value;

use super::connector::{Connector, check_connector};
use super::place::Place;
use super::raw::RawRegister;
use super::store_url::StoreUrl;
use super::target::{Format, Target, To};
use crate::error::{Error, Result};

/// A catalog of tables.
#[derive(Clone, Debug)]
pub struct Register {
    /// Which connector speaks with it, and what it wants to know.
    pub connector: Connector,
    /// The target's folder, as the catalog knows it.
    pub base: String,
}

pub(super) fn check_register(raw: RawRegister, target: &Target) -> Result<Register> {
    if target.file.is_some() {
        return Err(Error::config("`register`: a single file does not become a table")
            .with_hint("name a folder: end `target.url` with `/`"));
    }
    let place = match &target.to {
        To::Folder(place, Format::Parquet(_)) => place,
        To::Folder(_, other) => {
            return Err(Error::config(format!(
                "`register`: {} files do not become tables",
                other.name()
            ))
            .with_hint("write Parquet, or remove `register`"));
        }
        To::Sink(_) => {
            return Err(Error::config("`register`: the target has tables of its own")
                .with_hint("remove `register`"));
        }
    };
    let RawRegister { url, plugin, location, kerberos, mut config } = raw;
    config.insert("url".into(), Value::String(url.clone()));
    let base = match location {
        Some(location) => StoreUrl::parse("register.location", &location)?.as_hadoop(),
        None => hadoop_url(place)?,
    };
    Ok(Register {
        connector: check_connector("register", &url, plugin, kerberos, config)?,
        base: base.trim_end_matches('/').to_owned(),
    })
}

/// A place, as Hadoop's programs write it.
fn hadoop_url(place: &Place) -> Result<String> {
    let unknown = |what: &str| {
        Err(Error::config(format!("`register`: {what}")).with_hint(
            "say with `register.location` under which URL the catalog reads the target's folder",
        ))
    };
    match place {
        Place::Local(folder) => Ok(format!("file://{}", folder.display())),
        Place::S3(place) => Ok(format!("s3a://{}/{}", place.bucket, place.prefix)),
        Place::Hdfs(place) => {
            Ok(format!("{}{}", place.cluster.as_deref().unwrap_or("hdfs://"), place.folder))
        }
        Place::Azure(place) => match (&place.options.account, &place.options.endpoint) {
            (Some(account), None) => Ok(format!(
                "abfss://{}@{account}.dfs.core.windows.net/{}",
                place.container, place.prefix
            )),
            _ => unknown("the target's storage account is not known"),
        },
        Place::Sftp(_) => unknown("catalogs read nothing over sftp"),
    }
}
