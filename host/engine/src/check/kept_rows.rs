//! Rows that checks need again before the commit: in Arrow files of the run's scratch folder, the columns that some
//! check needs, and only while the run lasts.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A file of rows of one chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Its name in the scratch folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

impl KeptFile {
    /// Whether it is there as it was written.
    pub fn is_intact(&self, folder: &Path) -> bool {
        fs::metadata(folder.join(&self.name)).is_ok_and(|found| found.len() == self.bytes)
    }
}

/// Writes the rows of one chunk. A file that is not finished is removed.
pub(super) struct KeptWriter {
    path: PathBuf,
    columns: Vec<usize>,
    file: Option<StreamWriter<BufWriter<File>>>,
}

impl KeptWriter {
    /// A file of some columns of a relation, in a folder that is there.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        schema: &SchemaRef,
        columns: &[usize],
    ) -> Result<Self> {
        let path = folder.join(name);
        let kept = schema.project(columns).map_err(|error| fault(&path, error))?;
        let file = File::create(&path).map_err(|error| Error::io(path.display(), error))?;
        let file = StreamWriter::try_new(BufWriter::new(file), &kept);
        let file = Some(file.map_err(|error| fault(&path, error))?);
        Ok(Self { path, columns: columns.to_vec(), file })
    }

    /// Writes rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| batch.num_rows() > 0) else { return Ok(()) };
        let written = batch.project(&self.columns).and_then(|kept| file.write(&kept));
        written.map_err(|error| fault(&self.path, error))
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<KeptFile> {
        let ended = self.file.as_mut().map_or(Ok(()), StreamWriter::finish);
        let ended = ended.and_then(|()| self.file.as_mut().map_or(Ok(()), StreamWriter::flush));
        ended.map_err(|error| fault(&self.path, error))?;
        self.file = None;
        let found = fs::metadata(&self.path).map_err(|error| Error::io(self.path.display(), error));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(KeptFile { name, bytes: found?.len() })
    }
}

impl Drop for KeptWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn fault(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io(path.display(), error),
        other => Error::internal(format!("{}: {other}", path.display())),
    }
}

/// The rows of a relation as a table: it has all columns, and gives those that were kept.
#[derive(Clone, Debug)]
pub struct KeptRows {
    schema: SchemaRef,
    columns: Vec<usize>,
    files: Vec<PathBuf>,
}

impl KeptRows {
    /// A relation of which nothing is kept: queries over it can be planned.
    pub(super) fn planned(schema: SchemaRef) -> Self {
        let columns = (0..schema.fields().len()).collect();
        Self { schema, columns, files: Vec::new() }
    }

    /// Some columns of a relation's rows, in files.
    pub fn new(schema: SchemaRef, columns: Vec<usize>, files: Vec<PathBuf>) -> Self {
        Self { schema, columns, files }
    }
}

#[async_trait]
impl TableProvider for KeptRows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let place = |column: &usize| {
            let place = self.columns.iter().position(|kept| kept == column);
            place.ok_or_else(|| DataFusionError::Internal("a column was not kept".into()))
        };
        let places = projection.unwrap_or(&all).iter().map(place);
        let places = places.collect::<DfResult<Vec<usize>>>()?;
        let kept = Arc::new(self.schema.project(&self.columns)?);
        let groups = self.files.len().div_ceil(cores()).max(1);
        let mut streams: Vec<Arc<dyn PartitionStream>> = Vec::new();
        for files in self.files.chunks(groups) {
            streams.push(Arc::new(KeptStream { schema: kept.clone(), files: files.to_vec() }));
        }
        if streams.is_empty() {
            streams.push(Arc::new(KeptStream { schema: kept.clone(), files: Vec::new() }));
        }
        let scan = StreamingTableExec::try_new(kept, streams, Some(&places), [], false, limit)?;
        Ok(Arc::new(scan))
    }
}

/// Some of the files, one after the other.
#[derive(Debug)]
struct KeptStream {
    schema: SchemaRef,
    files: Vec<PathBuf>,
}

impl PartitionStream for KeptStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.files.clone().into_iter().flat_map(read);
        let batches = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

fn read(path: PathBuf) -> Box<dyn Iterator<Item = DfResult<RecordBatch>> + Send> {
    let opened = File::open(&path).map_err(DataFusionError::from);
    let opened = opened.and_then(|file| Ok(StreamReader::try_new(BufReader::new(file), None)?));
    match opened {
        Ok(batches) => Box::new(batches.map(|batch| Ok(batch?))),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}
