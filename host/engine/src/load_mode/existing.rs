//! The files that a relation has in the target.

use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use longshore_model::error::{Result, ResultExt};

use super::parquet_table::{ParquetTable, TableFile};
use super::session::Session;
use super::stage::{LoadResult, LoadStage};
use crate::destination::{DataFile, data_files};
use crate::write::{Parts, folder_values};

/// Footers that are read at the same time.
const FOOTERS_AT_ONCE: usize = 16;

/// The published files of a relation.
pub(super) struct ExistingFiles {
    /// The number of each row is that of its file here.
    pub(super) table: ParquetTable,
    pub(super) files: Vec<DataFile>,
    /// The rows of each file.
    pub(super) rows: Vec<u64>,
}

impl ExistingFiles {
    /// Looks what is there. Refuses files with other columns, and in other folders, than the run's.
    pub(super) async fn open(stage: &LoadStage, session: &Session) -> Result<Self> {
        let (parts, schema) = (&stage.parts, &stage.loaded);
        let name = &parts.target.name;
        let files = data_files(parts.folder.as_ref(), name, "").await?;
        let file = |(number, file): (usize, &DataFile)| {
            let values: Vec<ScalarValue> = folder_values(&parts.partition_by, schema, &file.path)
                .context(parts.folder.url(name))?;
            let (path, number) = (format!("{name}/{}", file.path), number as u64);
            Ok(TableFile { path, bytes: file.bytes, number, values })
        };
        let found = files.iter().enumerate().map(file).collect::<Result<_>>()?;
        let place = (parts.folder.clone(), stage.io.clone());
        let columns = (schema.clone(), parts.partition_by.as_slice());
        let table = ParquetTable::open(session, "existing", place, found, columns)?;
        let checks: Vec<_> = (0..files.len()).map(|file| table.check_file(file)).collect();
        let rows = futures::stream::iter(checks).buffered(FOOTERS_AT_ONCE).try_collect().await?;
        Ok(Self { table, files, rows })
    }

    /// What comes of a run without rows: nothing changes, and a relation that is not there gets its columns.
    pub(super) async fn unchanged(&self, stage: &LoadStage) -> Result<LoadResult> {
        let mut loaded =
            LoadResult { kept_files: self.files.len() as u64, ..LoadResult::default() };
        if self.files.is_empty() {
            loaded.parts.extend(stage.parts.write_empty(stage.loaded.clone()).await?);
        }
        Ok(loaded)
    }

    /// The files that are replaced, if these are written again.
    pub(super) fn replaced<'a>(&self, files: impl IntoIterator<Item = &'a usize>) -> Vec<DataFile> {
        files.into_iter().map(|file| self.files[*file].clone()).collect()
    }
}
