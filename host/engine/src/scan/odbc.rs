//! The ODBC lane: the connector says which statement to run, the host reads its rows from a process of
//! the driver's, and none of them enters the component.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use longshore_model::error::Result;
use longshore_model::grant::Grant;
use longshore_model::grant::odbc::Login;
use longshore_odbc_wire as wire;
use longshore_sandbox::capability::odbc::{Process, connect};
use longshore_sandbox::{OdbcFetch, OdbcStatement, OdbcValue};
use tokio::runtime::Handle;

use crate::ipc::{IpcDecoder, encode_schema};
use crate::pool::Pool;

/// What a session holds of a chunk: a driver's block and a batch made of it.
pub const SESSION_ESTIMATE_BYTES: usize = 16 << 20;

/// The most sessions that wait for their next chunk.
const IDLE_LIMIT: usize = 64;

/// The sessions of one source.
pub struct OdbcLane {
    io: Handle,
    /// Those that wait for their next chunk, by how they began.
    sessions: Pool<(Login, Process)>,
}

impl OdbcLane {
    /// None is open yet; they will belong to this runtime.
    pub fn new(io: Handle) -> Self {
        Self { io, sessions: Pool::default() }
    }

    /// Begins to read a statement's rows, which are of this schema.
    pub async fn read(
        &self,
        grant: &Grant,
        reading: &OdbcStatement,
        schema: &SchemaRef,
    ) -> Result<OdbcRows> {
        let login = Login::from(&reading.login);
        let mut process = match self.sessions.take_where(|(begun, _)| *begun == login) {
            Some((_, process)) => process,
            None => connect(&self.io, grant, &login).await?,
        };
        process.begin(wanted(reading, schema)?).await?;
        let decoder = IpcDecoder::new(schema.clone());
        let session = Some((login, process));
        Ok(OdbcRows { session, decoder, sessions: self.sessions.clone() })
    }

    /// Ends the sessions that wait.
    pub fn release(&self) {
        drop(self.sessions.drain());
    }
}

/// A statement's rows. Left before its end, the statement is cancelled.
pub struct OdbcRows {
    session: Option<(Login, Process)>,
    decoder: IpcDecoder,
    sessions: Pool<(Login, Process)>,
}

impl OdbcRows {
    /// The next batches; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        let Some((_, process)) = &mut self.session else { return Ok(None) };
        match process.piece().await? {
            Some(piece) => self.decoder.push(vec![piece]).map(Some),
            None => {
                self.decoder.finish()?;
                // Each is a process: logins may differ from chunk to chunk.
                if let Some(session) = self.session.take() {
                    self.sessions.put_at_most(session, IDLE_LIMIT);
                }
                Ok(None)
            }
        }
    }
}

fn wanted(reading: &OdbcStatement, schema: &SchemaRef) -> Result<wire::Reading> {
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
