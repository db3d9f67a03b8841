//! `TransformSchemas`: what a transform is sent, what it computes, and how its output is put together.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use longshore_model::error::{Error, Result};
use longshore_model::grant::shown;
use longshore_sandbox::{ColumnMapping, ColumnSource, Transformer};

use crate::ipc::{decode_schema, plain_field};
use crate::lineage::{ColumnLineage, Dependencies, Transformation};

/// The schemas of a transform, and where the columns of its output come from.
#[derive(Clone, Debug)]
pub struct TransformSchemas {
    /// What the transform said, if it said anything.
    pub mapping: Option<ColumnMapping>,
    /// The columns that it is sent.
    pub sent: SchemaRef,
    /// The columns that it gives.
    pub computed: SchemaRef,
    /// The columns that come out.
    pub output: SchemaRef,
    reads: Vec<usize>,
    sources: Vec<Source>,
}

/// Where a column of the output comes from: a column of the input, or one that the transform gives.
#[derive(Clone, Copy, Debug)]
enum Source {
    Input(usize),
    Computed(usize),
}

impl TransformSchemas {
    /// Asks an open transform.
    pub async fn ask(transformer: &mut Transformer, input: &SchemaRef) -> Result<Self> {
        let output = decode_schema(transformer.output_schema().await?)?;
        Self::new(input, &output, transformer.column_mapping().await?)
    }

    /// Checks what a transform said of its columns.
    pub fn new(
        input: &SchemaRef,
        output: &SchemaRef,
        mapping: Option<ColumnMapping>,
    ) -> Result<Self> {
        check_names(output)?;
        let Some(of) = &mapping else { return Ok(Self::of_all_columns(input, output)) };
        let reads = checked_reads(input, &of.reads)?;
        if of.output.len() != output.fields().len() {
            let (sources, columns) = (of.output.len(), output.fields().len());
            return Err(wrong(format!("it maps {sources} columns, its output has {columns}")));
        }
        let (sources, fields) = mapped_columns(input, output, &of.output)?;
        let metadata = output.metadata().clone();
        let gives = |(source, _): &(&Source, &FieldRef)| matches!(source, Source::Computed(_));
        let computed: Vec<FieldRef> =
            sources.iter().zip(&fields).filter(gives).map(|(_, field)| field.clone()).collect();
        let computed = Arc::new(Schema::new_with_metadata(computed, metadata.clone()));
        let sent = Arc::new(input.project(&reads).map_err(unprojected)?);
        let output = Arc::new(Schema::new_with_metadata(fields, metadata));
        Ok(Self { mapping, sent, computed, output, reads, sources })
    }

    /// The transform is sent the whole input and gives the whole output.
    fn of_all_columns(input: &SchemaRef, output: &SchemaRef) -> Self {
        Self {
            mapping: None,
            sent: input.clone(),
            computed: output.clone(),
            output: output.clone(),
            reads: (0..input.fields().len()).collect(),
            sources: (0..output.fields().len()).map(Source::Computed).collect(),
        }
    }

    /// The lineage of the output: what the transform computes is made of all that it is sent.
    pub fn lineage(&self, input: &ColumnLineage, how: Transformation) -> ColumnLineage {
        let mut computed = Dependencies::default();
        for column in self.reads.iter().filter_map(|column| input.columns.get(*column)) {
            computed.add(column, how);
        }
        self.lineage_by(input, |_| computed.clone())
    }

    /// The lineage of the output, where each column is computed from the one of its name alone.
    pub fn lineage_in_place(
        &self,
        schema: &Schema,
        input: &ColumnLineage,
        how: Transformation,
    ) -> ColumnLineage {
        self.lineage_by(input, |name| {
            let mut computed = Dependencies::default();
            let column = schema.index_of(name).ok().and_then(|column| input.columns.get(column));
            column.into_iter().for_each(|column| computed.add(column, how));
            computed
        })
    }

    fn lineage_by(
        &self,
        input: &ColumnLineage,
        computed: impl Fn(&str) -> Dependencies,
    ) -> ColumnLineage {
        let column = |(source, field): (&Source, &FieldRef)| match source {
            Source::Input(column) => input.columns.get(*column).cloned().unwrap_or_default(),
            Source::Computed(_) => computed(field.name()),
        };
        let columns = self.sources.iter().zip(self.output.fields()).map(column).collect();
        ColumnLineage { columns, rows: input.rows.clone() }
    }

    /// The columns of a batch that the transform is sent.
    pub fn select(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        batch.project(&self.reads).map_err(unprojected)
    }

    /// Puts the output together from a batch of the input and what the transform gave for it. Nothing is
    /// copied.
    pub fn assemble(
        &self,
        input: &RecordBatch,
        computed: Vec<RecordBatch>,
    ) -> Result<Vec<RecordBatch>> {
        self.check_rows(input.num_rows(), &computed)?;
        if self.passed().is_none() {
            return Ok(computed);
        }
        let mut rows = 0;
        let mut output = Vec::with_capacity(computed.len());
        for batch in computed.iter().filter(|batch| batch.num_rows() > 0) {
            output.push(self.joined(&input.slice(rows, batch.num_rows()), batch)?);
            rows += batch.num_rows();
        }
        Ok(output)
    }

    /// If a column passes through, what the transform gave must have as many rows as it was given.
    pub fn check_rows(&self, given: usize, computed: &[RecordBatch]) -> Result<()> {
        let Some(column) = self.passed() else { return Ok(()) };
        let rows: usize = computed.iter().map(RecordBatch::num_rows).sum();
        if rows == given {
            return Ok(());
        }
        let column = self.output.field(column).name();
        Err(wrong(format!("it passes `{column}` through, but gave {rows} rows for {given}")))
    }

    /// The first column of the output that passes through.
    fn passed(&self) -> Option<usize> {
        self.sources.iter().position(|source| matches!(source, Source::Input(_)))
    }

    fn joined(&self, input: &RecordBatch, computed: &RecordBatch) -> Result<RecordBatch> {
        let column = |source: &Source| match *source {
            Source::Input(column) => input.column(column).clone(),
            Source::Computed(column) => computed.column(column).clone(),
        };
        let columns = self.sources.iter().map(column).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(computed.num_rows()));
        RecordBatch::try_new_with_options(self.output.clone(), columns, &rows)
            .map_err(|error| wrong(error.to_string()))
    }
}

fn check_names(output: &Schema) -> Result<()> {
    let mut names = HashSet::new();
    match output.fields().iter().find(|field| !names.insert(field.name())) {
        Some(twice) => Err(wrong(format!("its output has two columns `{}`", twice.name()))),
        None => Ok(()),
    }
}

fn checked_reads(input: &Schema, reads: &[u32]) -> Result<Vec<usize>> {
    let mut seen = HashSet::new();
    for &column in reads {
        let Some(field) = input.fields().get(column as usize) else {
            let columns = input.fields().len();
            return Err(wrong(format!("it reads column {column} of an input of {columns}")));
        };
        if !seen.insert(column) {
            return Err(wrong(format!("it reads `{}` twice", field.name())));
        }
    }
    Ok(reads.iter().map(|&column| column as usize).collect())
}

/// Where the columns of the output come from, and their fields.
fn mapped_columns(
    input: &Schema,
    output: &Schema,
    sources: &[ColumnSource],
) -> Result<(Vec<Source>, Vec<FieldRef>)> {
    let mut computed = 0;
    let column = |(source, field): (&ColumnSource, &FieldRef)| match *source {
        ColumnSource::Input(column) => {
            let column = column as usize;
            Ok((Source::Input(column), passed_field(input, column, field)?))
        }
        ColumnSource::Computed => {
            computed += 1;
            Ok((Source::Computed(computed - 1), field.clone()))
        }
    };
    let columns: Result<Vec<_>> = sources.iter().zip(output.fields()).map(column).collect();
    Ok(columns?.into_iter().unzip())
}

/// The field of a column that passes through: the plugin sees no views, but they pass through as they are.
fn passed_field(input: &Schema, column: usize, output: &FieldRef) -> Result<FieldRef> {
    let name = output.name();
    let Some(field) = input.fields().get(column) else {
        let columns = input.fields().len();
        return Err(wrong(format!("`{name}` is column {column} of an input of {columns}")));
    };
    let (seen, source) = (plain_field(field), field.name());
    if seen.data_type() != output.data_type() {
        let (said, is) = (output.data_type(), seen.data_type());
        return Err(wrong(format!("it passes `{source}` through as `{name}` {said}, it is {is}")));
    }
    if field.is_nullable() && !output.is_nullable() {
        return Err(wrong(format!(
            "it passes `{source}` through as `{name}` without nulls, it may have some"
        )));
    }
    Ok(Arc::new(output.as_ref().clone().with_data_type(field.data_type().clone())))
}

/// The cause may hold the plugin's own words, such as the names of columns.
fn wrong(cause: String) -> Error {
    Error::internal(shown(&cause))
        .with_hint("this is a fault of the plugin: report it to its author")
}

fn unprojected(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("columns of a transform: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn noted(field: Field) -> Field {
        field.with_metadata([("note".to_owned(), "kept".to_owned())].into())
    }

    fn input() -> RecordBatch {
        let fields = vec![
            noted(Field::new("id", DataType::Int64, false)),
            Field::new("text", DataType::Utf8View, true),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2, 3])),
            Arc::new(StringViewArray::from(vec![
                Some("a"),
                None,
                Some("longer than a view holds"),
            ])),
        ];
        let of_all = [("made".to_owned(), "here".to_owned())].into();
        let schema = Arc::new(Schema::new_with_metadata(fields, of_all));
        RecordBatch::try_new(schema, columns).unwrap()
    }

    /// As a plugin gives it: it knows no views.
    fn output(fields: Vec<Field>) -> SchemaRef {
        Arc::new(Schema::new_with_metadata(fields, input().schema().metadata().clone()))
    }

    fn mapping(reads: &[u32], output: &[ColumnSource]) -> Option<ColumnMapping> {
        Some(ColumnMapping { reads: reads.to_vec(), output: output.to_vec() })
    }

    fn hashes(rows: usize) -> RecordBatch {
        let hashes = Arc::new(StringArray::from(vec!["x"; rows])) as ArrayRef;
        RecordBatch::try_from_iter([("hash", hashes)]).unwrap()
    }

    fn hashed() -> TransformSchemas {
        let fields = vec![
            Field::new("words", DataType::Utf8, true),
            Field::new("hash", DataType::Utf8, false),
            noted(Field::new("id", DataType::Int64, false)),
        ];
        let sources = [ColumnSource::Input(1), ColumnSource::Computed, ColumnSource::Input(0)];
        TransformSchemas::new(&input().schema(), &output(fields), mapping(&[0], &sources)).unwrap()
    }

    fn refused(fields: Vec<Field>, reads: &[u32], sources: &[ColumnSource]) -> String {
        let schemas =
            TransformSchemas::new(&input().schema(), &output(fields), mapping(reads, sources));
        schemas.unwrap_err().to_string()
    }

    #[test]
    fn what_passes_through_is_not_copied() {
        let (schemas, input) = (hashed(), input());
        assert_eq!(schemas.select(&input).unwrap(), input.project(&[0]).unwrap());
        let [out] = schemas.assemble(&input, vec![hashes(3)]).unwrap().try_into().unwrap();
        let views = |batch: &RecordBatch, column: usize| {
            batch.column(column).as_string_view().views().inner().as_ptr()
        };
        assert_eq!(views(&out, 0), views(&input, 1));
        assert_eq!(out.schema(), schemas.output);
        assert_eq!(out.schema().metadata(), input.schema().metadata());
        assert_eq!(out.schema().field(0), &Field::new("words", DataType::Utf8View, true));
        assert_eq!(out.schema().field(2), input.schema().field(0));
    }

    #[test]
    fn what_is_computed_may_come_in_several_batches() {
        let batches = vec![hashes(1), hashes(0), hashes(2)];
        let out = hashed().assemble(&input(), batches).unwrap();
        let ids: Vec<i64> = out
            .iter()
            .flat_map(|batch| {
                batch.column(2).as_primitive::<arrow::datatypes::Int64Type>().values()
            })
            .copied()
            .collect();
        assert_eq!((out.len(), ids), (2, vec![1, 2, 3]));
    }

    #[test]
    fn other_rows_are_refused_where_a_column_passes_through() {
        let error = hashed().assemble(&input(), vec![hashes(2)]).unwrap_err();
        assert_eq!(error.to_string(), "it passes `words` through, but gave 2 rows for 3");
        let all = TransformSchemas::new(&input().schema(), &hashes(0).schema(), None).unwrap();
        assert_eq!(all.assemble(&input(), vec![hashes(9)]).unwrap()[0].num_rows(), 9);
    }

    #[test]
    fn rows_without_columns_count() {
        let fields = vec![noted(Field::new("id", DataType::Int64, false))];
        let schemas = TransformSchemas::new(
            &input().schema(),
            &output(fields),
            mapping(&[], &[ColumnSource::Input(0)]),
        );
        let (schemas, input) = (schemas.unwrap(), input());
        let sent = schemas.select(&input).unwrap();
        assert_eq!((sent.num_columns(), sent.num_rows()), (0, 3));
        let [out] = schemas.assemble(&input, vec![sent]).unwrap().try_into().unwrap();
        assert_eq!(out.column(0).len(), 3);
    }

    #[test]
    fn a_mapping_that_lies_is_refused_and_the_column_named() {
        let id = || vec![Field::new("id", DataType::Int64, false)];
        let passed = ColumnSource::Input(0);
        assert_eq!(refused(id(), &[7], &[passed]), "it reads column 7 of an input of 2");
        assert_eq!(refused(id(), &[1, 0, 1], &[passed]), "it reads `text` twice");
        assert_eq!(refused(id(), &[], &[]), "it maps 0 columns, its output has 1");
        let far = refused(id(), &[], &[ColumnSource::Input(9)]);
        assert_eq!(far, "`id` is column 9 of an input of 2");
        let other = refused(id(), &[], &[ColumnSource::Input(1)]);
        assert_eq!(other, "it passes `text` through as `id` Int64, it is Utf8");
        let text = vec![Field::new("t", DataType::Utf8, false)];
        let nulls = refused(text, &[], &[ColumnSource::Input(1)]);
        assert_eq!(nulls, "it passes `text` through as `t` without nulls, it may have some");
        let twice = refused([id(), id()].concat(), &[], &[passed, passed]);
        assert_eq!(twice, "its output has two columns `id`");
    }
}
