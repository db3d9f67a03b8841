//! A target's folders as tables of a catalog: a connector in the sandbox makes them, or brings them up to
//! date, when a run has published.

use std::fmt;

use arrow::datatypes::SchemaRef;
use longshore_model::config::Job;
use longshore_model::config::target::Mode;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::part::RelationTarget;
use longshore_plugins::PluginSet;
use longshore_sandbox::TableRegistration;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::destination::plugin_mode;
use crate::ipc::encode_schema;
use crate::scan::{ComponentSource, Source};
use crate::write::Partitioning;

/// A catalog.
pub struct Registrar {
    source: ComponentSource,
    /// The target's folder, as the catalog knows it.
    base: String,
}

/// A folder that is to be a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// The run that publishes it.
    pub run: String,
    /// Its name.
    pub name: String,
    /// Its columns, as an Arrow IPC schema message: what its files hold, and then what folders tell.
    pub schema: Vec<u8>,
    /// The last columns, if their values name folders.
    #[serde(default)]
    pub partitions: Vec<String>,
    /// The mode of the target.
    pub mode: Mode,
}

impl Table {
    /// The table of a relation's folder, whose rows are of this schema.
    pub fn new(
        target: &RelationTarget,
        schema: &SchemaRef,
        partition_by: &[String],
    ) -> Result<Self> {
        let schema = Partitioning::table_schema(partition_by, schema)?;
        Ok(Self {
            run: target.run.clone(),
            name: target.name.clone(),
            schema: encode_schema(&schema)?,
            partitions: partition_by.to_vec(),
            mode: target.mode,
        })
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registrar({})", self.source.name())
    }
}

impl Registrar {
    /// The catalog that the job's folders become tables of, if it names one. Call it on the runtime that
    /// serves connections.
    pub fn of(job: &Job, plugins: &PluginSet) -> Option<Self> {
        let (connector, register) = (plugins.registrar.clone()?, job.register.as_ref()?);
        let source = ComponentSource::new(connector, Handle::current());
        Some(Self { source, base: register.base.clone() })
    }

    /// Checks that the catalog answers.
    pub async fn test(&self) -> Result<String> {
        self.source.test().await.context("register")
    }

    /// Whether these can become tables, as far as can be told before they are published.
    pub async fn check(&self, tables: &[Table]) -> Result<()> {
        self.source.check_tables(&self.registrations(tables)).await.context("register")
    }

    /// Makes tables of them, or brings the tables up to date; gives their names.
    pub async fn register(&self, tables: &[Table]) -> Result<Vec<String>> {
        let names = self.source.register(&self.registrations(tables)).await.context("register")?;
        if names.len() != tables.len() {
            return Err(Error::internal(format!(
                "{} gave {} names for {} tables",
                self.source.name(),
                names.len(),
                tables.len()
            )));
        }
        Ok(names)
    }

    /// Undoes [`Self::register`].
    pub async fn unregister(&self, tables: &[Table]) -> Result<()> {
        self.source.unregister(&self.registrations(tables)).await.context("register")
    }

    /// Ends its sessions.
    pub async fn release(&self) {
        self.source.release().await;
    }

    fn registrations(&self, tables: &[Table]) -> Vec<TableRegistration> {
        let registration = |table: &Table| TableRegistration {
            run: table.run.clone(),
            name: table.name.clone(),
            location: format!("{}/{}", self.base, table.name),
            schema: table.schema.clone(),
            partitions: table.partitions.clone(),
            mode: plugin_mode(table.mode),
        };
        tables.iter().map(registration).collect()
    }
}
