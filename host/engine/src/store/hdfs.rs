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
        HdfsError::RPCError(java, said) | HdfsError::FatalRPCError(java, said) => {
            java_class(java, said)
        }
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
    let mut own =
        Error::new(class, format!("{url}: {}", cause(&error))).with_code(code.map(str::to_owned));
    if let Some(hint) = hint {
        own = own.with_hint(hint);
    }
    own.with_source(error)
}

/// What went wrong, without the name of Java's class where there is a text.
fn cause(error: &HdfsError) -> String {
    let said = match error {
        HdfsError::RPCError(_, said) | HdfsError::FatalRPCError(_, said) => brief(said),
        _ => "",
    };
    if has_no_data_node(said) {
        return "HDFS has no data node that takes the file".into();
    }
    if said.is_empty() { brief(&error.to_string()).to_owned() } else { said.to_owned() }
}

/// Whether a name node says that no data node takes a block. Nothing but its text tells, in Hadoop 2 and 3.
fn has_no_data_node(said: &str) -> bool {
    said.contains("could only be replicated to") || said.contains("could only be written to")
}

fn java_class(java: &str, said: &str) -> (Class, Option<&'static str>, Option<&'static str>) {
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
        _ if has_no_data_node(said) => (
            Class::Resource,
            None,
            Some(
                "look with `hdfs dfsadmin -report` whether data nodes live and have room, and whether this machine \
                 reaches them",
            ),
        ),
        _ => (Class::Resource, None, None),
    }
}

fn brief(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(java: &str, said: &str) -> Error {
        hdfs_error("hdfs://lake/t/part", HdfsError::RPCError(java.into(), said.into()))
    }

    #[test]
    fn an_error_of_the_name_node_is_told_without_javas_names() {
        let error = told(
            "org.apache.hadoop.security.AccessControlException",
            "Permission denied: user=ada, access=WRITE\n\tat org.apache.hadoop.Checker.check",
        );
        let text = error.to_string();
        assert_eq!(text, "hdfs://lake/t/part: Permission denied: user=ada, access=WRITE");
        assert_eq!(error.class(), Class::Auth);
        let text = told("java.io.IOException", "").to_string();
        assert!(text.contains("java.io.IOException"), "{text}");
    }

    #[test]
    fn data_nodes_that_take_nothing_are_told_by_hadoop_2_and_3() {
        for said in [
            "File /t/part could only be replicated to 0 nodes instead of minReplication (=1).  There are 0 datanode(s)",
            "File /t/part could only be written to 0 of the 1 minReplication nodes. There are 1 datanode(s) running",
        ] {
            let error = told("java.io.IOException", said);
            let text = error.to_string();
            assert_eq!(text, "hdfs://lake/t/part: HDFS has no data node that takes the file");
            assert!(error.hint().is_some_and(|hint| hint.contains("dfsadmin -report")));
        }
    }
}
