//! HDFS, by `hdfs-native`: no JVM. High availability, Kerberos and the rest come from Hadoop's own files.

use std::collections::BTreeMap;

use hdfs_native::HdfsError;
use hdfs_native::client::{Client, ClientBuilder, IORuntime};
use longshore_model::config::place::HdfsPlace;
use longshore_model::error::{Class, Error, Result};
use tokio::runtime::Handle;

/// What holds unless Hadoop's files or the job say otherwise. A write goes on when a data node dies
/// and there is no other to take its place, as operators of small clusters want it; what is then
/// short of copies, the name node makes good. Waiting for the other name node is bounded here: our
/// own retries come on top.
const DEFAULTS: [(&str, &str); 3] = [
    ("dfs.client.block.write.replace-datanode-on-failure.best-effort", "true"),
    ("dfs.client.failover.max.attempts", "8"),
    ("dfs.client.failover.sleep.max.millis", "4000"),
];

/// A client of a place's cluster, served by the runtime that this is called on.
pub(crate) fn hdfs_client(place: &HdfsPlace) -> Result<Client> {
    let given = &place.options;
    let mut settings: BTreeMap<String, String> =
        DEFAULTS.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    settings.extend(given.settings.clone());
    let mut builder = ClientBuilder::new()
        .with_config(settings)
        .with_io_runtime(IORuntime::Handle(Handle::current()));
    if let Some(cluster) = &place.cluster {
        builder = builder.with_url(cluster);
    }
    if let Some(folder) = &given.conf_dir {
        builder = builder.with_config_dir(folder.display().to_string());
    }
    if let Some(user) = &given.user {
        builder = builder.with_user(user);
    }
    if let Some(principal) = &given.principal {
        builder = builder.with_kerberos_principal(principal);
    }
    if let Some(keytab) = &given.keytab {
        builder = builder.with_kerberos_keytab(keytab.display().to_string());
    }
    builder.build().map_err(|error| {
        Error::config(format!("`{}.url`: {}", place.side, brief(&error.to_string())))
            .with_hint("name the name node as in hdfs://host:8020/folder, or set HADOOP_CONF_DIR")
    })
}

/// The code of errors that say that something has the name already.
pub(crate) const EXISTS: &str = "FileAlreadyExistsException";

/// Who must act, from what the name node says. Its text carries a whole stack trace: the first line
/// tells it.
pub(crate) fn hdfs_error(url: &str, error: HdfsError) -> Error {
    let (class, code, hint) = match &error {
        HdfsError::FileNotFound(_) => (Class::NotFound, None, None),
        HdfsError::AlreadyExists(_) => (Class::Resource, Some(EXISTS), None),
        HdfsError::RPCError(java, _) | HdfsError::FatalRPCError(java, _) => java_class(java),
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => (
            Class::Auth,
            None,
            Some("check the Kerberos ticket (klist), `hdfs.principal` and `hdfs.keytab`"),
        ),
        HdfsError::IOError(_) | HdfsError::DataTransferError(_) | HdfsError::ChecksumError => {
            (Class::Connection, None, Some("check that the name node and the data nodes answer"))
        }
        HdfsError::InvalidArgument(_)
        | HdfsError::InvalidPath(_)
        | HdfsError::UrlParseError(_)
        | HdfsError::UnsupportedFeature(_)
        | HdfsError::XmlParseError(_) => (Class::Config, None, None),
        _ => (Class::Resource, None, None),
    };
    let mut own = Error::new(class, format!("{url}: {}", brief(&error.to_string())))
        .with_code(code.map(str::to_owned));
    if let Some(hint) = hint {
        own = own.with_hint(hint);
    }
    own.with_source(error)
}

fn java_class(java: &str) -> (Class, Option<&'static str>, Option<&'static str>) {
    match java.rsplit('.').next().unwrap_or(java) {
        "FileNotFoundException" => (Class::NotFound, None, None),
        "FileAlreadyExistsException" => (Class::Resource, Some(EXISTS), None),
        "AccessControlException" | "AuthorizationException" => (
            Class::Auth,
            None,
            Some("grant the permission in HDFS to the user that Longshore writes as"),
        ),
        "InvalidToken" | "AccessDeniedException" => (Class::Auth, None, Some("log in again")),
        "SafeModeException" => {
            (Class::Throttled, None, Some("wait until the name node leaves safe mode"))
        }
        "StandbyException" | "RetriableException" => {
            (Class::Connection, None, Some("name the name service, not one of its name nodes"))
        }
        "NSQuotaExceededException"
        | "DSQuotaExceededException"
        | "QuotaExceededException"
        | "QuotaByStorageTypeExceededException" => {
            (Class::Resource, None, Some("raise the folder's quota or make room, then run again"))
        }
        "FSLimitException$PathComponentTooLongException" => {
            (Class::Config, None, Some("name a shorter folder in `url`"))
        }
        "ParentNotDirectoryException" | "InvalidPathException" | "PathIsNotDirectoryException" => {
            (Class::Config, None, Some("check the path in `url`"))
        }
        _ => (Class::Resource, None, None),
    }
}

fn brief(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
