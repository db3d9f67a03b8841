//! The names of folders and files.

use longshore_model::config::place::{AzurePlace, Place};

use crate::lineage::dataset::DatasetName;

/// The name of what lies at a path beneath a place; the place's own for an empty path.
pub(super) fn of_place(place: &Place, path: &str) -> DatasetName {
    match place {
        Place::Local(folder) => named("file", joined(&folder.to_string_lossy(), path)),
        Place::S3(place) => {
            named(format!("s3://{}", place.bucket), key(&joined(&place.prefix, path)))
        }
        Place::Azure(place) => named(container(place), key(&joined(&place.prefix, path))),
        Place::Hdfs(place) => {
            let cluster = place.cluster.as_deref().unwrap_or("hdfs://");
            named(cluster, joined(&place.folder, path))
        }
        Place::Sftp(place) => named(format!("file://{}", place.host), joined(&place.folder, path)),
    }
}

fn named(namespace: impl Into<String>, name: String) -> DatasetName {
    DatasetName { namespace: namespace.into(), name }
}

/// Objects have no slash at their beginning. A bucket itself is one.
fn key(path: &str) -> String {
    match path.trim_matches('/') {
        "" => "/".to_owned(),
        key => key.to_owned(),
    }
}

fn joined(folder: &str, path: &str) -> String {
    let (folder, path) = (folder.trim_end_matches('/'), path.trim_matches('/'));
    match (folder, path) {
        ("", "") => "/".to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net`: without an account, the server that was named.
fn container(place: &AzurePlace) -> String {
    let AzurePlace { container, options, .. } = place;
    match (&options.account, &options.endpoint) {
        (Some(account), None) => format!("abfss://{container}@{account}.dfs.core.windows.net"),
        (_, Some(endpoint)) => {
            let server = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
            format!("abfss://{container}@{}", server.trim_end_matches('/'))
        }
        (None, None) => format!("abfss://{container}"),
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::config::place::parse_place;

    use super::*;

    #[test]
    fn folders_are_named_by_the_standard() {
        for (url, path, expected) in [
            ("file:///lake/shop", "orders", "file /lake/shop/orders"),
            ("file:///", "orders", "file /orders"),
            ("s3://bucket/lake/shop/", "Aufträge", "s3://bucket lake/shop/Aufträge"),
            ("s3a://bucket", "orders", "s3://bucket orders"),
            ("s3://bucket", "", "s3://bucket /"),
            ("hdfs://nn:8020/lake", "orders", "hdfs://nn:8020 /lake/orders"),
            ("hdfs:///lake", "orders", "hdfs:// /lake/orders"),
            (
                "abfss://c@account.dfs.core.windows.net/lake",
                "orders",
                "abfss://c@account.dfs.core.windows.net lake/orders",
            ),
            ("azure://c/lake", "orders", "abfss://c lake/orders"),
            ("sftp://me@host:2222/lake", "orders", "file://host /lake/orders"),
        ] {
            let DatasetName { namespace, name } = of_place(&parse_place(url).unwrap(), path);
            assert_eq!(format!("{namespace} {name}"), expected, "{url}");
        }
    }
}
