//! The features of a build: what Longshore can be built without.

use crate::error::{Error, Result};

/// A part of Longshore that a build can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Azure Blob Storage.
    Azure,
    /// HDFS.
    Hdfs,
    /// Kerberos, for plugins. HDFS has its own.
    Kerberos,
    /// ODBC.
    Odbc,
    /// Amazon S3 and what is compatible with it.
    S3,
    /// SFTP.
    Sftp,
}

impl Feature {
    /// Refuses what this build was made without.
    pub fn check(self) -> Result<()> {
        let (_, _, is_built) = self.entry();
        if is_built { Ok(()) } else { Err(self.missing()) }
    }

    /// The error of a build without it.
    pub fn missing(self) -> Error {
        let (name, title, _) = self.entry();
        Error::config(format!("this build of longshore has no {title}"))
            .with_hint(format!("install a build with the feature `{name}`"))
    }

    /// Its name in Cargo, its name in messages, and whether this build has it.
    fn entry(self) -> (&'static str, &'static str, bool) {
        match self {
            Self::Azure => ("azure", "Azure", cfg!(feature = "azure")),
            Self::Hdfs => ("hdfs", "HDFS", cfg!(feature = "hdfs")),
            Self::Kerberos => ("kerberos", "Kerberos", cfg!(feature = "kerberos")),
            Self::Odbc => ("odbc", "ODBC", cfg!(feature = "odbc")),
            Self::S3 => ("s3", "S3", cfg!(feature = "s3")),
            Self::Sftp => ("sftp", "SFTP", cfg!(feature = "sftp")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn a_missing_feature_is_named_with_a_next_step() {
        let error = Feature::Hdfs.missing();
        assert_eq!(error.to_string(), "this build of longshore has no HDFS");
        assert_eq!(error.hint(), Some("install a build with the feature `hdfs`"));
        assert_eq!(error.class(), Class::Config);
    }
}
