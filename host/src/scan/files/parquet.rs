//! Parquet, by DataFusion's reader: only the columns that are wanted, only the row groups, pages and rows
//! that a filter leaves.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef, TimeUnit};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionContext;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path as Key;
use parquet::basic::Type as Physical;
use parquet::errors::ParquetError;

use super::look::{Group, Look, Looked};
use super::{Rows, Slice, file_error, filter, int96, shown};
use crate::config::files::Int96;
use crate::error::{Class, Error, Result};
use crate::sandbox::Scan;
use crate::scan::caught;
use crate::store::Opened;

/// What the reader knows the store by; nobody sees it.
const STORE_URL: &str = "source://files";

/// What a file says of itself.
pub(super) async fn look(
    store: &Opened,
    meta: &ObjectMeta,
    cache: &Arc<FileMetadataCache>,
    int96: Int96,
) -> Result<Look> {
    let failed = |error| fault(store, &meta.location, error);
    let file = DFParquetMetadata::new(store.objects.as_ref(), meta)
        .with_file_metadata_cache(Some(cache.clone()))
        .with_coerce_int96(Some(match int96 {
            Int96::Microseconds | Int96::Truncated => TimeUnit::Microsecond,
            Int96::Nanoseconds => TimeUnit::Nanosecond,
        }));
    let metadata = guarded(file.fetch_metadata()).await.map_err(failed)?;
    let schema = guarded(file.fetch_schema()).await.map_err(failed)?;
    let group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let column = group.columns().first();
        let from = column.map_or(0, |column| {
            column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset())
        });
        Group {
            from: from.max(0) as u64,
            rows: group.num_rows().max(0) as u64,
            bytes: group.compressed_size().max(0) as u64,
        }
    };
    let groups: Vec<Group> = metadata.row_groups().iter().map(group).collect();
    let rows: u64 = groups.iter().map(|group| group.rows).sum();
    let said = metadata.file_metadata().num_rows();
    if u64::try_from(said).ok() != Some(rows) {
        let text = format!("its footer says {said} rows, and its row groups {rows}");
        return Err(failed(DataFusionError::ParquetError(Box::new(ParquetError::General(text)))));
    }
    let leaves = metadata.file_metadata().schema_descr().columns().iter();
    let int96 = leaves
        .filter(|leaf| leaf.physical_type() == Physical::INT96)
        .filter_map(|leaf| leaf.path().parts().first().cloned())
        .collect();
    Ok(Look { fields: schema.fields().clone(), groups, rows: Some(rows), int96 })
}

/// The rows of slices, once their INT96 has been looked at.
pub(super) fn read(
    store: &Opened,
    int96: Int96,
    looked: &Looked,
    scan: &Scan,
    slices: Vec<Slice>,
    schema: &SchemaRef,
) -> Result<Rows> {
    let rows = read_unchecked(store, int96, looked, scan, &slices, schema)?;
    // A filter may ask for columns that are not read.
    let is_read = |name: &String| scan.filter.is_some() || schema.index_of(name).is_ok();
    let columns: Vec<String> = looked.int96.iter().filter(|name| is_read(name)).cloned().collect();
    if columns.is_empty() || int96 == Int96::Truncated {
        return Ok(rows);
    }
    let (store, metadata) = (store.clone(), looked.metadata.clone());
    let checked = async move {
        for slice in &slices {
            let meta = slice.meta()?;
            let failed = |error| fault(&store, &meta.location, error);
            let file = DFParquetMetadata::new(store.objects.as_ref(), &meta)
                .with_file_metadata_cache(Some(metadata.clone()));
            let metadata = guarded(file.fetch_metadata()).await.map_err(failed)?;
            let slice = int96::Slice { metadata: &metadata, range: slice.range };
            let found = int96::find_unfit(store.objects.as_ref(), &meta, slice, &columns, int96);
            if let Some(unfit) = guarded(found).await.map_err(failed)? {
                return Err(unfit.refusal(&shown(&store, &meta.location), int96));
            }
        }
        Ok(rows)
    };
    Ok(futures::stream::once(checked).try_flatten().boxed())
}

fn read_unchecked(
    store: &Opened,
    int96: Int96,
    looked: &Looked,
    scan: &Scan,
    slices: &[Slice],
    schema: &SchemaRef,
) -> Result<Rows> {
    let own = Arc::new(Schema::new(looked.file_fields().to_vec()));
    let table = TableSchema::builder(own)
        .with_table_partition_cols(looked.partition_fields().to_vec())
        .build();
    let mut options = TableParquetOptions::default();
    options.global.coerce_int96 = Some(match int96 {
        Int96::Microseconds | Int96::Truncated => "us".into(),
        Int96::Nanoseconds => "ns".into(),
    });
    options.global.pushdown_filters = true;
    options.global.reorder_filters = true;
    let factory =
        CachedParquetFileReaderFactory::new(store.objects.clone(), looked.metadata.clone());
    let mut source = ParquetSource::new(table)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(factory));
    if let Some(filter) = &scan.filter {
        source = source.with_predicate(filter::physical(filter, &looked.schema)?);
    }
    let mut files = Vec::new();
    for slice in slices {
        let values = super::partition_values(slice, looked.partition_fields())?;
        let file = PartitionedFile::new_from_meta(slice.meta()?).with_partition_values(values);
        files.push(match slice.range {
            Some((from, to)) => file.with_range(from as i64, to as i64),
            None => file,
        });
    }
    let columns = schema.fields().iter().map(|field| looked.schema.index_of(field.name()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(DataFusionError::from)?;
    let url = ObjectStoreUrl::parse(STORE_URL)?;
    let config = FileScanConfigBuilder::new(url.clone(), Arc::new(source))
        .with_file_group(FileGroup::new(files))
        .with_projection_indices(Some(columns))?
        .with_limit(scan.limit.and_then(|limit| usize::try_from(limit).ok()))
        .build();
    let context = SessionContext::new();
    context.register_object_store(url.as_ref(), store.objects.clone());
    let rows = DataSourceExec::from_data_source(config).execute(0, context.task_ctx())?;
    let (store, first) = (store.clone(), slices.first().map(Slice::meta).transpose()?);
    let key = first.map(|meta| meta.location).unwrap_or_default();
    Ok(guarded_stream(rows).map_err(move |error| fault(&store, &key, error)).boxed())
}

/// What comes of work that panics at some of what it does not expect.
async fn guarded<T>(work: impl Future<Output = DfResult<T>>) -> DfResult<T> {
    let mut work = pin!(work);
    let poll = |context: &mut Context<'_>| match caught(|| work.as_mut().poll(context)) {
        Some(polled) => polled,
        None => Poll::Ready(Err(damaged())),
    };
    std::future::poll_fn(poll).await
}

/// The same of a stream; it ends with the panic.
fn guarded_stream(rows: SendableRecordBatchStream) -> impl Stream<Item = DfResult<RecordBatch>> {
    let mut open = Some(rows);
    futures::stream::poll_fn(move |context| {
        let Some(rows) = &mut open else { return Poll::Ready(None) };
        match caught(|| rows.poll_next_unpin(context)) {
            Some(polled) => polled,
            None => {
                open = None;
                Poll::Ready(Some(Err(damaged())))
            }
        }
    })
}

fn damaged() -> DataFusionError {
    DataFusionError::ParquetError(Box::new(ParquetError::General("it is damaged".into())))
}

/// Who must act on what the reader says of a file.
fn fault(store: &Opened, key: &Key, error: DataFusionError) -> Error {
    let name = shown(store, key);
    match error.find_root() {
        DataFusionError::ObjectStore(error) => file_error(store, key, error),
        DataFusionError::ParquetError(parquet) => match parquet.as_ref() {
            ParquetError::External(source) => match source.downcast_ref() {
                Some(error) => file_error(store, key, error),
                None => Error::data(format!("{name}: {source}")),
            },
            other => Error::data(format!("{name}: cannot be read as Parquet: {other}"))
                .with_hint("write the file anew, or leave it out with a pattern"),
        },
        DataFusionError::External(_) => Error::from(error),
        DataFusionError::ArrowError(arrow, _) => {
            Error::data(format!("{name}: cannot be read as Parquet: {arrow}"))
                .with_hint("write the file anew, or leave it out with a pattern")
        }
        _ => Error::from(error)
            .with_class(Class::Data)
            .with_context(name)
            .with_hint("write the file anew in a plainer form, or leave it out with a pattern"),
    }
}
