//! The stores that files lie in: S3, Azure, HDFS and SFTP.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Settings of an S3 store. Without keys here, those of the environment, of `~/.aws`, or of
/// the machine's role are used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawS3 {
    /// The server of a compatible store, such as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The region; from the environment or the profile if absent, else `us-east-1`.
    pub region: Option<String>,
    /// The profile of `~/.aws/credentials` and `~/.aws/config`.
    pub profile: Option<String>,
    /// The key's id, as a secret.
    pub access_key_id: Option<Value>,
    /// The key, as a secret.
    pub secret_access_key: Option<Value>,
    /// The session's token, as a secret.
    pub session_token: Option<Value>,
    /// Whether the bucket is a part of the server's name; it is not if absent.
    pub virtual_hosted: Option<bool>,
}

/// What an Azure store wants to know. Without keys here, those of the environment, of the Azure CLI,
/// or of the machine's identity are used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAzure {
    /// The storage account.
    pub account: Option<String>,
    /// The server of a compatible store, such as `http://127.0.0.1:10000/devstoreaccount1`.
    pub endpoint: Option<String>,
    /// The account's key, as a secret.
    pub access_key: Option<Value>,
    /// A shared access signature, as a secret.
    pub sas: Option<Value>,
}

/// What an HDFS store wants to know. The rest is in Hadoop's own files, in `HADOOP_CONF_DIR`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHdfs {
    /// The folder of `core-site.xml` and `hdfs-site.xml`; `HADOOP_CONF_DIR` if absent.
    pub conf_dir: Option<PathBuf>,
    /// Who writes, where there is no Kerberos; `HADOOP_USER_NAME` or the process's user if absent.
    pub user: Option<String>,
    /// The Kerberos principal, with `keytab`; the credential cache's if absent.
    pub principal: Option<String>,
    /// The principal's keytab.
    pub keytab: Option<PathBuf>,
    /// How many copies of a block; the cluster's default if absent.
    #[schemars(range(min = 1, max = 512))]
    pub replication: Option<u32>,
    /// Bytes of a block; the cluster's default if absent.
    pub block_size: Option<u64>,
    /// More of Hadoop's own settings.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// What an SFTP server wants to know. Without any, the agent's keys and those of `~/.ssh` are tried.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSftp {
    /// The password, as a secret.
    pub(in crate::config) password: Option<Value>,
    /// A file with a private key.
    pub(in crate::config) key_file: Option<PathBuf>,
    /// The key's passphrase, as a secret.
    pub(in crate::config) key_passphrase: Option<Value>,
    /// The file of known hosts; `~/.ssh/known_hosts` if absent. An unknown server is refused.
    pub(in crate::config) known_hosts: Option<PathBuf>,
}
