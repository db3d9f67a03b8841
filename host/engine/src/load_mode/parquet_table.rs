//! Parquet files of a target, or of a run's scratch folder, as a table: with a number that tells them apart, and
//! with the columns that their folders tell.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use longshore_model::error::{Error, Result};
use object_store::ObjectMeta;
use object_store::path::Path as Key;
use parquet::errors::ParquetError;
use tokio::runtime::Handle;

use super::folder_objects::FolderObjects;
use super::session::Session;
use crate::datafusion_fault::from_datafusion;
use crate::destination::Folder;
use crate::scan::{ParquetReaders, fetch_footer};
use crate::store::SourceStore;

/// The column with the number of each row's file.
const NUMBER: &str = "longshore file";

/// Footers of files that are kept.
const FOOTERS_LIMIT_BYTES: usize = 32 << 20;

/// A file is read by several partitions where each gets at least so much of it.
const PIECE_BYTES: u64 = 64 << 20;

/// A stretch of a file: the row groups whose middle lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The place of the file in its table.
    pub(super) file: usize,
    /// The bytes, where it is not the whole file.
    range: Option<FileRange>,
}

impl Piece {
    /// A whole file.
    pub(super) fn whole(file: usize) -> Self {
        Self { file, range: None }
    }
}

/// A file of a table.
#[derive(Clone, Debug)]
pub(super) struct TableFile {
    /// Its path in the folder.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// The number that its rows get.
    pub(super) number: u64,
    /// What its folders tell, in the order of the partition columns.
    pub(super) values: Vec<ScalarValue>,
}

/// Files of the same columns.
#[derive(Clone, Debug)]
pub(super) struct ParquetTable {
    store: SourceStore,
    url: ObjectStoreUrl,
    cache: Arc<FileMetadataCache>,
    /// The files, and what the store says of them.
    files: Vec<(TableFile, ObjectMeta)>,
    /// The columns of the rows.
    pub(super) schema: SchemaRef,
    /// The columns of the files, then those of the folders, and the number.
    table: TableSchema,
}

impl ParquetTable {
    /// The files of a folder, whose rows have the columns of `schema`: those of `partition_by` are told by folders.
    /// `name` tells tables of a session apart.
    pub(super) fn open(
        session: &Session,
        name: &str,
        (folder, io): (Arc<dyn Folder>, Handle),
        files: Vec<TableFile>,
        (schema, partition_by): (SchemaRef, &[String]),
    ) -> Result<Self> {
        let base = folder.url("");
        let paths = files.iter().map(|file| (file.path.as_str(), file.bytes));
        let (objects, metas) = FolderObjects::open(folder, paths, io);
        let store = SourceStore { objects: Arc::new(objects), base, root: Key::default() };
        let url = ObjectStoreUrl::parse(format!("load://{name}")).map_err(from_datafusion)?;
        session.context.runtime_env().register_object_store(url.as_ref(), store.objects.clone());
        let is_told = |field: &&FieldRef| partition_by.contains(field.name());
        let own: Vec<FieldRef> =
            schema.fields().iter().filter(|field| !is_told(field)).cloned().collect();
        let field = |column: &String| schema.field_with_name(column).map(|f| Arc::new(f.clone()));
        let mut told = partition_by.iter().map(field).collect::<Result<Vec<FieldRef>, _>>();
        if let Ok(told) = &mut told {
            told.push(Arc::new(Field::new(NUMBER, DataType::UInt64, false)));
        }
        let told = told.map_err(|error| Error::internal(error.to_string()))?;
        let table = TableSchema::builder(Arc::new(Schema::new(own)))
            .with_table_partition_cols(told)
            .build();
        let cache = Arc::new(DefaultCache::new(FOOTERS_LIMIT_BYTES));
        Ok(Self { store, url, cache, files: files.into_iter().zip(metas).collect(), schema, table })
    }

    pub(super) fn files(&self) -> impl ExactSizeIterator<Item = &TableFile> {
        self.files.iter().map(|(file, _)| file)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }

    /// A column in the order of predicates.
    pub(super) fn column(&self, name: &str) -> Result<Arc<dyn PhysicalExpr>> {
        let column = Column::new_with_schema(name, self.table.table_schema());
        Ok(Arc::new(column.map_err(from_datafusion)?))
    }

    /// A file, cut into at most so many pieces.
    pub(super) fn pieces(&self, file: usize, at_most: usize) -> Vec<Piece> {
        match cut(self.files[file].0.bytes, at_most).as_slice() {
            [_] => vec![Piece::whole(file)],
            ranges => {
                ranges.iter().cloned().map(|range| Piece { file, range: Some(range) }).collect()
            }
        }
    }

    /// The rows of groups of whole files.
    pub(super) fn scan(
        &self,
        groups: Vec<Vec<usize>>,
        columns: &[usize],
        predicate: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let whole = |group: Vec<usize>| group.into_iter().map(Piece::whole).collect();
        self.scan_pieces(groups.into_iter().map(whole).collect(), columns, predicate)
    }

    /// The rows of groups of pieces: a partition for each group, whose pieces are read one after the other. They have
    /// these columns, and then the number of their file. The predicate only leaves out what its statistics exclude.
    pub(super) fn scan_pieces(
        &self,
        groups: Vec<Vec<Piece>>,
        columns: &[usize],
        predicate: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = self.table.table_schema();
        if groups.is_empty() {
            return self.no_rows(columns);
        }
        let names = columns.iter().map(|column| self.schema.field(*column).name().as_str());
        let projection = names
            .chain([NUMBER])
            .map(|name| table.index_of(name))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::internal(error.to_string()))?;
        let mut options = TableParquetOptions::default();
        options.global.coerce_int96 = Some("us".into());
        options.global.bloom_filter_on_read = false;
        let readers = ParquetReaders { store: self.store.clone(), cache: self.cache.clone() };
        let mut source = ParquetSource::new(self.table.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let groups = groups.into_iter().map(|group| {
            FileGroup::new(group.into_iter().map(|piece| self.partitioned(piece)).collect())
        });
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups.collect())
            .with_projection_indices(Some(projection))
            .map_err(from_datafusion)?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The plan of no file.
    fn no_rows(&self, columns: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let fields = columns.iter().map(|column| self.schema.field(*column).clone());
        let number = Field::new(NUMBER, DataType::UInt64, false);
        let schema = Schema::new(fields.chain([number]).collect::<Vec<_>>());
        Ok(Arc::new(EmptyExec::new(Arc::new(schema))))
    }

    fn partitioned(&self, piece: Piece) -> PartitionedFile {
        let (file, meta) = &self.files[piece.file];
        let number = ScalarValue::UInt64(Some(file.number));
        let values = file.values.iter().cloned().chain([number]).collect();
        let whole = PartitionedFile::new_from_meta(meta.clone()).with_partition_values(values);
        match piece.range {
            Some(FileRange { start, end }) => whole.with_range(start, end),
            None => whole,
        }
    }

    /// The rows of a file, by its footer; refuses a file that does not have the columns of the table.
    pub(super) async fn check_file(&self, file: usize) -> Result<u64> {
        let (TableFile { path, .. }, meta) = &self.files[file];
        let told = |error| from_plan(error).with_context(format!("{}/{path}", self.store.base));
        let footer = fetch_footer(&self.store, meta, &self.cache, None).await.map_err(told)?;
        let schema = DFParquetMetadata::new(self.store.objects.as_ref(), meta)
            .with_file_metadata_cache(Some(self.cache.clone()))
            .with_coerce_int96(Some(TimeUnit::Microsecond))
            .fetch_schema()
            .await
            .map_err(told)?;
        let differs = difference(&schema, self.table.file_schema());
        if let Some(how) = differs {
            return Err(Error::config(format!("{}/{path}: {how}", self.store.base)).with_hint(
                "make the columns the same in an `sql` step, or choose `mode: version` or `replace`",
            ));
        }
        Ok(footer.file_metadata().num_rows().max(0) as u64)
    }
}

/// Ranges of so many bytes, at most so many, side by side.
fn cut(bytes: u64, at_most: usize) -> Vec<FileRange> {
    let count = (bytes / PIECE_BYTES).clamp(1, at_most.max(1) as u64);
    let at = |piece: u64| (bytes * piece / count) as i64;
    (0..count).map(|piece| FileRange { start: at(piece), end: at(piece + 1) }).collect()
}

/// How a file's columns differ from those that are wanted, if they cannot be read as these.
fn difference(there: &Schema, wanted: &Schema) -> Option<String> {
    for field in there.fields() {
        let Ok(own) = wanted.field_with_name(field.name()) else {
            return Some(format!("it has a column `{}`, which the run has not", field.name()));
        };
        if !reads_as(field.data_type(), own.data_type()) {
            let (is, wanted) = (field.data_type(), own.data_type());
            return Some(format!(
                "its column `{}` is {is}, and that of the run {wanted}",
                field.name()
            ));
        }
    }
    let missing = wanted.fields().iter().find(|field| there.field_with_name(field.name()).is_err());
    // A column that came later is NULL in older files.
    let missing = missing.filter(|field| !field.is_nullable())?;
    Some(format!("it has no column `{}`", missing.name()))
}

/// Whether each value of a type is one of the other.
fn reads_as(there: &DataType, wanted: &DataType) -> bool {
    use DataType::*;
    match (there, wanted) {
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => true,
        (Int8, Int16 | Int32 | Int64) | (Int16, Int32 | Int64) | (Int32, Int64) => true,
        (Float32, Float64) => true,
        (Decimal128(digits, scale), Decimal128(more, same)) => scale == same && digits <= more,
        // Both hold instants.
        (Timestamp(unit, Some(_)), Timestamp(same, Some(_))) => unit == same,
        (List(there) | LargeList(there), List(wanted) | LargeList(wanted)) => {
            reads_as(there.data_type(), wanted.data_type())
        }
        (Struct(there), Struct(wanted)) => {
            let pairs = there.iter().zip(wanted);
            there.len() == wanted.len()
                && pairs.into_iter().all(|(there, wanted)| {
                    there.name() == wanted.name() && reads_as(there.data_type(), wanted.data_type())
                })
        }
        (there, wanted) => there == wanted,
    }
}

/// The error of a plan: readers of Parquet pass on errors of ours in their own.
pub(super) fn from_plan(error: DataFusionError) -> Error {
    let DataFusionError::ParquetError(parquet) = error.find_root() else {
        return from_datafusion(error);
    };
    match parquet.as_ref() {
        ParquetError::External(source) => match source.downcast_ref::<Error>() {
            Some(own) => own.copy(),
            None => Error::data(format!("a file is damaged: {source}")),
        },
        other => Error::data(format!("a file is damaged: {other}"))
            .with_hint("write the file again, or choose another `target.mode`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_ranges_side_by_side() {
        for (bytes, at_most, count) in [
            (0, 2, 1),
            (PIECE_BYTES * 2 - 1, 4, 1),
            (PIECE_BYTES * 3 + 7, 2, 2),
            (PIECE_BYTES * 3 + 7, 8, 3),
        ] {
            let ranges = cut(bytes, at_most);
            assert_eq!(ranges.len(), count, "{bytes}");
            let mut end = 0;
            for range in ranges {
                assert_eq!(range.start, end);
                end = range.end;
            }
            assert_eq!(end, bytes as i64);
        }
    }
}
