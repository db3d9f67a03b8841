//! What Parquet files say of themselves, without what is not to be relied on, and the reader that is given it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use longshore_model::error::Error;
use object_store::ObjectMeta;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::{SortOrder, Type as Physical};
use parquet::errors::{ParquetError, Result as PqResult};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder,
    RowGroupMetaData,
};

use super::file_error;
use super::parquet_fault::fault;
use crate::store::SourceStore;

/// What a file's footer says, and its index of pages where that can be read.
pub(crate) async fn fetch(
    store: &SourceStore,
    meta: &ObjectMeta,
    cache: &Arc<FileMetadataCache>,
    policy: Option<PageIndexPolicy>,
) -> DfResult<Arc<ParquetMetaData>> {
    let file = |policy| {
        DFParquetMetadata::new(store.objects.as_ref(), meta)
            .with_file_metadata_cache(Some(cache.clone()))
            .with_page_index_policy(policy)
    };
    match file(policy).fetch_metadata().await {
        Ok(metadata) => reliable(metadata, true),
        // The index of pages only saves reading: a file is read without one that is damaged.
        Err(DataFusionError::ParquetError(_)) if policy != Some(PageIndexPolicy::Skip) => {
            reliable(file(Some(PageIndexPolicy::Skip)).fetch_metadata().await?, false)
        }
        Err(error) => Err(error),
    }
}

/// The same without what would lose rows: the bounds of values that older writers compared in another way than
/// values are, taking all bytes for signed numbers (PARQUET-251, PARQUET-686), or in no order that they say; and a
/// number of rows that is not that of its groups.
fn reliable(metadata: Arc<ParquetMetaData>, has_index: bool) -> DfResult<Arc<ParquetMetaData>> {
    let file = metadata.file_metadata();
    let is_ordered = file.column_orders().is_some();
    let rows = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).sum();
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    let has_doubts = columns.any(|column| is_doubtful(column, is_ordered));
    if has_index && file.num_rows() == rows && !has_doubts {
        return Ok(metadata);
    }
    let groups = metadata.row_groups().iter().cloned().map(|group| {
        let mut group = group.into_builder();
        let columns = group.take_columns().into_iter().map(|column| plain(column, is_ordered));
        let columns = columns.collect::<PqResult<Vec<_>>>()?;
        group.set_column_metadata(columns).build()
    });
    let groups = groups.collect::<PqResult<Vec<_>>>()?;
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    Ok(Arc::new(ParquetMetaDataBuilder::new(file).set_row_groups(groups).build()))
}

/// A column without an index of its pages, and with nothing that is doubtful.
fn plain(column: ColumnChunkMetaData, is_ordered: bool) -> PqResult<ColumnChunkMetaData> {
    let is_doubtful = is_doubtful(&column, is_ordered);
    let builder = column.into_builder();
    let builder = if is_doubtful { builder.clear_statistics() } else { builder };
    builder
        .set_column_index_offset(None)
        .set_column_index_length(None)
        .set_offset_index_offset(None)
        .set_offset_index_length(None)
        .build()
}

/// Whether its bounds may be those of another order than its values have.
fn is_doubtful(column: &ColumnChunkMetaData, is_ordered: bool) -> bool {
    let is_bytes = matches!(
        column.column_type(),
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY | Physical::INT96
    );
    if !is_bytes && column.column_descr().sort_order() == SortOrder::SIGNED {
        return false;
    }
    let is_old = column.statistics().is_some_and(|statistics| statistics.is_min_max_deprecated());
    let has_bounds = column.statistics().is_some() || column.column_index_offset().is_some();
    is_old || (has_bounds && !is_ordered)
}

/// Where a row group begins in its file: a slice of the file has those that begin within it.
pub(super) fn start_of(group: &RowGroupMetaData) -> u64 {
    let start = group.columns().first().map_or(0, |column| {
        column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset())
    });
    start.max(0) as u64
}

/// Gives DataFusion what is reliable.
#[derive(Debug)]
pub(crate) struct Factory {
    pub(crate) store: SourceStore,
    pub(crate) cache: Arc<FileMetadataCache>,
}

impl ParquetFileReaderFactory for Factory {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> DfResult<Box<dyn AsyncFileReader + Send>> {
        let (store, cache) = (self.store.clone(), self.cache.clone());
        Ok(Box::new(Reader { store, cache, meta: file.object_meta }))
    }
}

/// One file.
struct Reader {
    store: SourceStore,
    cache: Arc<FileMetadataCache>,
    meta: ObjectMeta,
}

impl Reader {
    fn failed(&self, error: &object_store::Error) -> ParquetError {
        own(file_error(&self.store, &self.meta.location, error))
    }
}

fn own(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, PqResult<Bytes>> {
        async move {
            let got = self.store.get_range(&self.meta.location, range).await;
            got.map_err(|error| self.failed(&error))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, PqResult<Vec<Bytes>>> {
        async move {
            let got = self.store.get_ranges(&self.meta.location, &ranges).await;
            got.map_err(|error| self.failed(&error))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, PqResult<Arc<ParquetMetaData>>> {
        let policy = options.map(|options| options.column_index_policy());
        async move {
            let metadata = fetch(&self.store, &self.meta, &self.cache, policy).await;
            metadata.map_err(|error| own(fault(&self.store, &self.meta.location, error)))
        }
        .boxed()
    }
}
