//! Parquet, by DataFusion's reader: only the columns that are wanted, only the row groups, pages and rows
//! that a filter leaves.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionContext;
use futures::future::ready;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use longshore_model::config::files::Int96;
use longshore_model::error::{Error, Result};
use longshore_sandbox::Scan;
use object_store::ObjectMeta;
use parquet::basic::Type as Physical;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::schema::types::{ColumnDescriptor, Type as RelationDescription};

use super::changed_values::is_interval;
use super::file_info::{FileInfo, FilesInfo, Group};
use super::json_values::Layout;
use super::parquet_fault::{Fault, damage, fault};
use super::parquet_footer::{self, Factory};
use super::{DAMAGED, Rows, Slice, changed_values, detail, filter, shown};
use crate::datafusion_fault::from_datafusion;
use crate::ipc::catch_panic;
use crate::sound_values::{WIDER_TYPE, sound};
use crate::store::SourceStore;

/// What the reader knows the store by; nobody sees it.
const STORE_URL: &str = "source://files";

/// Reads the metadata of a file.
pub(super) async fn inspect(
    store: &SourceStore,
    meta: &ObjectMeta,
    cache: &Arc<FileMetadataCache>,
    int96: Int96,
) -> Result<FileInfo> {
    let failed = |error| fault(store, &meta.location, error);
    let fetching = parquet_footer::fetch(store, meta, cache, None);
    let metadata = guarded(fetching).await.map_err(failed)?;
    // It has the footer from the cache.
    let file = DFParquetMetadata::new(store.objects.as_ref(), meta)
        .with_file_metadata_cache(Some(cache.clone()))
        .with_page_index_policy(Some(PageIndexPolicy::Skip))
        .with_coerce_int96(Some(match int96 {
            Int96::Microseconds | Int96::Truncated => TimeUnit::Microsecond,
            Int96::Nanoseconds => TimeUnit::Nanosecond,
        }));
    let schema = guarded(file.fetch_schema()).await.map_err(failed)?;
    let described = metadata.file_metadata().schema().get_fields();
    if let Some(field) = described.iter().find(|field| holds_empty_group(field)) {
        let (name, column) = (shown(store, &meta.location), field.name());
        let error = format!("{name}: column `{column}` holds a group without columns");
        return Err(Error::data(error).with_hint("write the file again without it"));
    }
    let group = |group: &RowGroupMetaData| Group {
        from: parquet_footer::start_of(group),
        rows: group.num_rows().max(0) as u64,
        bytes: group.compressed_size().max(0) as u64,
    };
    let groups: Vec<Group> = metadata.row_groups().iter().map(group).collect();
    let rows: u64 = groups.iter().map(|group| group.rows).sum();
    let leaves = metadata.file_metadata().schema_descr().columns();
    let with = |is_sought: fn(&ColumnDescriptor) -> bool| {
        let sought = leaves.iter().filter(|leaf| is_sought(leaf));
        sought.filter_map(|leaf| leaf.path().parts().first().cloned()).collect()
    };
    Ok(FileInfo {
        fields: schema.fields().clone(),
        groups,
        rows: Some(rows),
        int96: with(|leaf| leaf.physical_type() == Physical::INT96),
        intervals: with(is_interval),
        layout: Layout::Lines,
        doubt: None,
    })
}

/// Nothing can be read of it.
fn holds_empty_group(column: &RelationDescription) -> bool {
    column.is_group()
        && (column.get_fields().is_empty()
            || column.get_fields().iter().any(|field| holds_empty_group(field)))
}

/// The rows of slices, once the values have been looked at that the reader would change.
pub(super) fn read(
    store: &SourceStore,
    int96: Int96,
    info: &Arc<FilesInfo>,
    scan: &Scan,
    slices: Vec<Slice>,
    schema: &SchemaRef,
) -> Result<Rows> {
    let rows = read_unchecked(store, int96, info, scan, &slices, schema)?;
    let blame = Blame {
        store: store.clone(),
        int96,
        info: info.clone(),
        has_filter: scan.filter.is_some(),
        scan: Scan { filter: None, limit: None, ..scan.clone() },
        slices: slices.clone(),
        schema: schema.clone(),
    };
    let rows = rows.or_else(move |error| {
        let blame = blame.clone();
        async move { Err(blame.told(error).await) }
    });
    let file = match slices.as_slice() {
        [one] => format!("{}: ", shown(store, &one.meta()?.location)),
        _ => String::new(),
    };
    let rows = rows.and_then(move |batch| {
        let told = |unsound| Error::data(format!("{file}{unsound}")).with_hint(WIDER_TYPE);
        ready(sound(batch).map_err(told))
    });
    let rows = rows.boxed();
    // A filter may ask for columns that are not read.
    let is_read = |name: &String| scan.filter.is_some() || schema.index_of(name).is_ok();
    let moments = info.int96.iter().filter(|_| int96 != Int96::Truncated);
    let sought = moments.chain(&info.intervals).filter(|name| is_read(name));
    let columns: Vec<String> = sought.cloned().collect();
    if columns.is_empty() {
        return Ok(rows);
    }
    let (store, metadata) = (store.clone(), info.metadata.clone());
    let checked = async move {
        for slice in &slices {
            let meta = slice.meta()?;
            let failed = |error| fault(&store, &meta.location, error);
            let fetching = parquet_footer::fetch(&store, &meta, &metadata, None);
            let metadata = guarded(fetching).await.map_err(failed)?;
            let slice = changed_values::Slice { metadata: &metadata, range: slice.range };
            let found = changed_values::find_unfit(&store, &meta, slice, &columns, int96);
            if let Some(unfit) = guarded(found).await.map_err(failed)? {
                return Err(unfit.refusal(&shown(&store, &meta.location), int96));
            }
        }
        Ok(rows)
    };
    Ok(futures::stream::once(checked).try_flatten().boxed())
}

fn read_unchecked(
    store: &SourceStore,
    int96: Int96,
    info: &FilesInfo,
    scan: &Scan,
    slices: &[Slice],
    schema: &SchemaRef,
) -> Result<BoxStream<'static, DfResult<RecordBatch>>> {
    let own = Arc::new(Schema::new(info.file_fields().to_vec()));
    let table = TableSchema::builder(own)
        .with_table_partition_cols(info.partition_fields().to_vec())
        .build();
    let mut options = TableParquetOptions::default();
    options.global.coerce_int96 = Some(match int96 {
        Int96::Microseconds | Int96::Truncated => "us".into(),
        Int96::Nanoseconds => "ns".into(),
    });
    options.global.pushdown_filters = true;
    options.global.reorder_filters = true;
    // One that is damaged would lose rows, and nobody could see it.
    options.global.bloom_filter_on_read = false;
    let factory = Factory { store: store.clone(), cache: info.metadata.clone() };
    let mut source = ParquetSource::new(table)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(factory));
    if let Some(filter) = &scan.filter {
        source = source.with_predicate(filter::physical(filter, &info.schema)?);
    }
    let mut files = Vec::new();
    for slice in slices {
        let values = super::partition_values(slice, info.partition_fields())?;
        let file = PartitionedFile::new_from_meta(slice.meta()?).with_partition_values(values);
        files.push(match slice.range {
            Some((from, to)) => file.with_range(from as i64, to as i64),
            None => file,
        });
    }
    let columns = schema.fields().iter().map(|field| info.schema.index_of(field.name()));
    let columns = columns
        .collect::<Result<Vec<_>, _>>()
        .map_err(DataFusionError::from)
        .map_err(from_datafusion)?;
    let url = ObjectStoreUrl::parse(STORE_URL).map_err(from_datafusion)?;
    let config = FileScanConfigBuilder::new(url.clone(), Arc::new(source))
        .with_file_group(FileGroup::new(files))
        .with_projection_indices(Some(columns))
        .map_err(from_datafusion)?
        .with_limit(scan.limit.and_then(|limit| usize::try_from(limit).ok()))
        .build();
    let context = SessionContext::new();
    context.register_object_store(url.as_ref(), store.objects.clone());
    let rows = DataSourceExec::from_data_source(config)
        .execute(0, context.task_ctx())
        .map_err(from_datafusion)?;
    Ok(guarded_stream(rows).boxed())
}

/// Finds which file and which column cannot be read, when something cannot: the reader does not say.
#[derive(Clone)]
struct Blame {
    store: SourceStore,
    int96: Int96,
    info: Arc<FilesInfo>,
    has_filter: bool,
    /// Without a filter.
    scan: Scan,
    slices: Vec<Slice>,
    schema: SchemaRef,
}

impl Blame {
    async fn told(&self, error: DataFusionError) -> Error {
        let first = match self.slices.first().map(Slice::meta).transpose() {
            Ok(first) => first.map(|meta| meta.location).unwrap_or_default(),
            Err(error) => return error,
        };
        let text = match Fault::of(&self.store, &first, error) {
            Fault::Told(error) => return error,
            Fault::Damage(text) => text,
        };
        // Those that are read, and then those that only the filter asks for.
        let all = self.info.file_fields().iter();
        let (read, others): (Vec<_>, Vec<_>) =
            all.partition(|field| self.schema.index_of(field.name()).is_ok());
        for slice in &self.slices {
            for field in read.iter().chain(&others) {
                if let Err(error) = self.try_column(slice, field).await {
                    return error;
                }
            }
        }
        let name = match self.slices.len() {
            1 => shown(&self.store, &first),
            files => {
                format!("{}, or one of {files} files read with it", shown(&self.store, &first))
            }
        };
        if !self.has_filter {
            return damage(&name, None, &text);
        }
        // Each column can be read: it was the condition.
        Error::data(format!("{name}: a condition of the SQL failed{}", detail(&text)))
            .with_hint("write the condition in another way, as with a cast of the column")
    }

    async fn try_column(&self, slice: &Slice, field: &FieldRef) -> Result<()> {
        let key = slice.meta()?.location;
        let schema = Arc::new(Schema::new(vec![field.clone()]));
        let slices = std::slice::from_ref(slice);
        let rows =
            read_unchecked(&self.store, self.int96, &self.info, &self.scan, slices, &schema)?;
        let read = rows.try_for_each(|_| std::future::ready(Ok(()))).await;
        read.map_err(|error| match Fault::of(&self.store, &key, error) {
            Fault::Told(error) => error,
            Fault::Damage(text) => damage(&shown(&self.store, &key), Some(field.name()), &text),
        })
    }
}

/// What comes of work that panics at some of what it does not expect.
async fn guarded<T>(work: impl Future<Output = DfResult<T>>) -> DfResult<T> {
    let mut work = pin!(work);
    let poll = |context: &mut Context<'_>| match catch_panic(|| work.as_mut().poll(context)) {
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
        match catch_panic(|| rows.poll_next_unpin(context)) {
            Some(polled) => polled,
            None => {
                open = None;
                Poll::Ready(Some(Err(damaged())))
            }
        }
    })
}

fn damaged() -> DataFusionError {
    DataFusionError::ParquetError(Box::new(ParquetError::General(DAMAGED.into())))
}
