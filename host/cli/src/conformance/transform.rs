//! Transforms: the same rows come out however the same rows go in.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use longshore_engine::ipc::encode_schema;
use longshore_engine::transform::{OpenTransform, TransformSchemas};
use longshore_model::error::Result;
use longshore_run::Fingerprint;
use longshore_sandbox::{Transform, Transformer};

use super::{Probe, Suite, broken, refused, rows};

/// Rows of the sample.
const ROWS: i64 = 1_000;

impl Probe<Transform> {
    async fn open(&self, config: &str, schema: &SchemaRef) -> Result<Transformer> {
        let schema = encode_schema(schema)?;
        self.component.open(self.name(), config, self.grant.clone(), &schema).await
    }

    /// Transforms these batches; gives the fingerprint of the result.
    async fn run(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Fingerprint> {
        let mut transformer = self.open(&self.config, schema).await?;
        let schemas = TransformSchemas::ask(&mut transformer, schema).await?;
        let mut opened = OpenTransform::new(transformer, schemas)?;
        let mut out = Fingerprint::default();
        for batch in batches {
            opened.process(batch).await?.iter().try_for_each(|batch| out.add(batch))?;
        }
        opened.finish().await?.iter().try_for_each(|batch| out.add(batch))?;
        Ok(out)
    }
}

pub(super) async fn check(suite: &mut Suite, probe: &Probe<Transform>) {
    let Some(sample) = suite.note("there are rows to change", rows::sample(ROWS)) else { return };
    let schema = sample.schema();
    let opened = probe.open(&probe.config, &schema).await;
    let Some(mut transformer) = suite.note("it opens on its config and a schema", opened) else {
        return;
    };
    let schemas = TransformSchemas::ask(&mut transformer, &schema).await;
    suite.note("it says what comes out, and of which columns", schemas);
    let whole = probe.run(&schema, std::slice::from_ref(&sample)).await;
    let Some(whole) = suite.note("what comes out is what it said", whole) else { return };
    let again = probe.run(&schema, std::slice::from_ref(&sample)).await;
    suite.note("the same rows make the same rows, each time", same(whole, again));
    for rows in [1, 7, 333] {
        let batches: Vec<RecordBatch> = (0..sample.num_rows())
            .step_by(rows)
            .map(|from| sample.slice(from, rows.min(sample.num_rows() - from)))
            .collect();
        let cut = probe.run(&schema, &batches).await;
        suite.note(format!("so do batches of {rows}"), same(whole, cut));
    }
    let empty = sample.slice(0, 0);
    let around = probe.run(&schema, &[empty.clone(), sample.clone(), empty.clone()]).await;
    suite.note("batches without rows change nothing", same(whole, around));
    suite.note("no rows at all are fine", probe.run(&schema, &[]).await);
    suite.note("a chunk of one batch without rows is fine", probe.run(&schema, &[empty]).await);
    let nonsense = probe.open("[]", &schema).await;
    suite.note("a config that is none is refused in words", refused("`[]`", nonsense));
}

fn same(whole: Fingerprint, other: Result<Fingerprint>) -> Result<()> {
    match other? {
        other if other == whole => Ok(()),
        other => broken(format!("{} rows, then {} rows or other values", whole.rows, other.rows)),
    }
}
