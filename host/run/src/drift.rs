//! The check for drift: rows that are added must have the columns that are there.

use arrow::datatypes::SchemaRef;
use longshore_engine::destination::Target;
use longshore_model::error::{Error, Result};
use longshore_model::part::RelationTarget;

use super::manifest::{FieldRecord, Manifest};

/// The newest manifests that are searched for the one that says which columns are there.
const MANIFESTS_LIMIT: usize = 1_000;

/// The code of an error that tells of drift.
pub(super) const DRIFT: &str = "drift";

/// Refuses rows whose columns are not those that were published there last. Files that somebody else
/// wrote are not looked at.
pub(super) async fn check_columns(
    target: &dyn Target,
    relation: &RelationTarget,
    schema: &SchemaRef,
) -> Result<()> {
    let Some(there) = columns_there(target, &relation.name).await? else { return Ok(()) };
    let new = FieldRecord::of_schema(schema);
    let named = |fields: &[FieldRecord]| -> Vec<String> {
        fields.iter().map(|field| format!("`{}` ({})", field.name, field.r#type)).collect()
    };
    let (there, new) = (named(&there), named(&new));
    if there == new {
        return Ok(());
    }
    let missing = there.iter().find(|field| !new.contains(field));
    let added = new.iter().find(|field| !there.contains(field));
    let how = match (missing, added) {
        (Some(missing), Some(added)) => format!("{missing} is there, and {added} would come"),
        (Some(missing), None) => format!("{missing} is there, and would not come"),
        (None, Some(added)) => format!("{added} is not there"),
        (None, None) => "they would come in another order".into(),
    };
    Err(Error::config(format!(
        "`target.mode` is {}, and {} has other columns: {how}",
        relation.mode.name(),
        target.url(&relation.name)
    ))
    .with_code(Some(DRIFT.to_owned()))
    .with_hint("make them the same in an `sql` step, or choose `mode: version` or `replace`"))
}

async fn columns_there(target: &dyn Target, name: &str) -> Result<Option<Vec<FieldRecord>>> {
    let mut runs = target.manifests().await?;
    runs.sort();
    for run in runs.iter().rev().take(MANIFESTS_LIMIT) {
        let Some(text) = target.manifest(run).await? else { continue };
        // Another version may have written it in another way.
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { continue };
        let found = manifest.relations.into_iter().find(|relation| relation.published_as == name);
        if let Some(relation) = found {
            return Ok(Some(relation.schema));
        }
    }
    Ok(None)
}
