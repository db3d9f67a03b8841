//! The ODBC lane: the connector says which statement to run, the host reads its rows from a process of
//! the driver's, and none of them enters the component.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use longshore_model::error::Result;
use longshore_model::grant::Grant;
use longshore_model::grant::odbc::Login;
use longshore_odbc_wire as wire;
use longshore_sandbox::capability::odbc::{Process, connect};
use longshore_sandbox::{OdbcFetch, OdbcReading, OdbcValue};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::ipc::{IpcDecoder, encode_schema};

/// What a session holds of a chunk: a driver's block and a batch made of it.
pub const SESSION_ESTIMATE_BYTES: usize = 16 << 20;

/// The most sessions that wait for their next chunk.
const IDLE_LIMIT: usize = 64;

/// The sessions of one source.
pub struct OdbcLane {
    io: Handle,
    /// Those that wait for their next chunk, by how they began.
    idle: Arc<Mutex<Vec<(Login, Process)>>>,
}

impl OdbcLane {
    /// None is open yet; they will belong to this runtime.
    pub fn new(io: Handle) -> Self {
        Self { io, idle: Arc::default() }
    }

    /// Begins to read a statement's rows, which are of this schema.
    pub async fn read(
        &self,
        grant: &Grant,
        reading: &OdbcReading,
        schema: &SchemaRef,
    ) -> Result<OdbcRows> {
        let login = Login::from(&reading.login);
        let mut process = match self.take(&login) {
            Some(process) => process,
            None => connect(&self.io, grant, &login).await?,
        };
        process.begin(wanted(reading, schema)?).await?;
        let decoder = IpcDecoder::new(schema.clone());
        let session = Some((login, process));
        Ok(OdbcRows { session, decoder, idle: self.idle.clone() })
    }

    /// Ends the sessions that wait.
    pub fn release(&self) {
        self.idle.lock().clear();
    }

    fn take(&self, login: &Login) -> Option<Process> {
        let mut idle = self.idle.lock();
        let at = idle.iter().position(|(of, _)| of == login)?;
        Some(idle.swap_remove(at).1)
    }
}

/// A statement's rows. Left before its end, the statement is cancelled.
pub struct OdbcRows {
    session: Option<(Login, Process)>,
    decoder: IpcDecoder,
    idle: Arc<Mutex<Vec<(Login, Process)>>>,
}

impl OdbcRows {
    /// The next batches; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        let Some((_, process)) = &mut self.session else { return Ok(None) };
        match process.piece().await? {
            Some(piece) => self.decoder.push(vec![piece]).map(Some),
            None => {
                let last = self.decoder.finish()?;
                let mut idle = self.idle.lock();
                // Each is a process: logins may differ from chunk to chunk.
                if idle.len() >= IDLE_LIMIT {
                    idle.remove(0);
                }
                idle.extend(self.session.take());
                Ok(last.map(|batch| vec![batch]))
            }
        }
    }
}

fn wanted(reading: &OdbcReading, schema: &SchemaRef) -> Result<wire::Reading> {
    let value = |value: &OdbcValue| match value {
        OdbcValue::Integer(number) => wire::Value::Integer(*number),
        OdbcValue::Text(text) => wire::Value::Text(text.clone()),
    };
    let fetch = |fetch: &OdbcFetch| match fetch {
        OdbcFetch::Native => wire::Fetch::Native,
        OdbcFetch::Text => wire::Fetch::Text,
        OdbcFetch::Wide => wire::Fetch::Wide,
    };
    Ok(wire::Reading {
        sql: reading.sql.clone(),
        parameters: reading.parameters.iter().map(value).collect(),
        schema: encode_schema(schema)?,
        fetch: reading.fetch.iter().map(fetch).collect(),
        by_row: reading.by_row,
    })
}
