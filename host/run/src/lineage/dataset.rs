//! Datasets: what is read and written, as OpenLineage names and describes it.

use longshore_engine::lineage::Transformation;
use longshore_model::config::checks::CheckOutcome;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::facet::facet;
use crate::check_result::CheckReport;
use crate::report::RelationReport;

/// The types of symbolic links.
const TABLE: &str = "TABLE";
const LOCATION: &str = "LOCATION";

/// The name of a dataset: <https://openlineage.io/docs/spec/naming>.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetName {
    /// The server, the bucket, the kind of store.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// A field of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetField {
    /// Its name.
    pub name: String,
    /// Its type, as the dataset's store calls it.
    pub r#type: String,
}

/// A dataset that is read.
#[derive(Clone, Debug)]
pub struct InputDataset {
    /// Its name.
    pub dataset: DatasetName,
    /// The fields that are known.
    pub fields: Vec<DatasetField>,
}

/// A dataset that is written.
#[derive(Clone, Debug)]
pub struct OutputDataset {
    /// The relation's name in the job.
    pub relation: String,
    /// Its name, which is the same for each version.
    pub dataset: DatasetName,
    /// The table of a catalog that it becomes.
    pub table: Option<DatasetName>,
    /// The files' format; none where they go into a sink.
    pub format: Option<&'static str>,
    /// Its fields.
    pub fields: Vec<DatasetField>,
    /// What each field comes from; none if it is not known.
    pub origins: Option<Vec<(String, Vec<FieldOrigin>)>>,
    /// What decides which rows there are.
    pub row_origins: Vec<FieldOrigin>,
}

/// A field that another one comes from.
#[derive(Clone, Debug)]
pub struct FieldOrigin {
    /// The dataset.
    pub dataset: DatasetName,
    /// The field's name.
    pub field: String,
    /// How it takes part.
    pub transformations: Vec<Transformation>,
}

impl InputDataset {
    /// Adds fields that are not known yet: another relation may have read others of them.
    pub(super) fn add(&mut self, fields: Vec<DatasetField>) {
        for field in fields {
            if !self.fields.iter().any(|known| known.name == field.name) {
                self.fields.push(field);
            }
        }
    }

    /// The input, as events have it.
    pub(super) fn to_json(&self) -> Value {
        let facets = common_facets(&self.dataset, &self.fields);
        json!({ "namespace": self.dataset.namespace, "name": self.dataset.name, "facets": facets })
    }
}

impl OutputDataset {
    /// The output, as events have it.
    pub(super) fn to_json(&self) -> Value {
        let mut facets = common_facets(&self.dataset, &self.fields);
        let DatasetName { namespace, name } = &self.dataset;
        if let Some(format) = self.format {
            let layer = namespace.split(':').next();
            let says = json!({ "storageLayer": layer, "fileFormat": format });
            facets.insert("storage".into(), facet("1-0-1", "StorageDatasetFacet", says));
        }
        if let Some(table) = &self.table {
            let link = link(&table.namespace, &table.name, TABLE);
            facets.insert("symlinks".into(), links_facet(vec![link]));
        }
        if let Some(origins) = &self.origins {
            let says = column_lineage(origins, &self.row_origins);
            let lineage = facet("1-2-0", "ColumnLineageDatasetFacet", says);
            facets.insert("columnLineage".into(), lineage);
        }
        json!({ "namespace": namespace, "name": name, "facets": facets })
    }
}

/// Adds to an output, as events have it, what was published of it. The results of its checks belong here, too, as
/// the facet `dataQualityAssertions`.
pub(super) fn add_published(output: &mut Value, relation: &RelationReport) {
    let statistics = json!({
        "rowCount": relation.rows, "size": relation.bytes, "fileCount": relation.parts,
    });
    output["outputFacets"]["outputStatistics"] =
        facet("1-0-2", "OutputStatisticsOutputDatasetFacet", statistics);
    let mut links = output.pointer("/facets/symlinks/identifiers").cloned().unwrap_or_default();
    let mut links = links.as_array_mut().map(std::mem::take).unwrap_or_default();
    if let Some(table) = &relation.registered_as {
        links.iter_mut().for_each(|link| link["name"] = json!(table));
    }
    let published = &relation.published_as;
    if *published != relation.relation {
        let says = json!({ "datasetVersion": published });
        output["facets"]["version"] = facet("1-0-1", "DatasetVersionDatasetFacet", says);
        links.extend(version_link(output, relation));
    }
    if !links.is_empty() {
        output["facets"]["symlinks"] = links_facet(links);
    }
}

/// Adds what the checks of a relation came to. Samples of rows stay here.
pub(super) fn add_assertions<'a>(
    output: &mut Value,
    checks: impl Iterator<Item = &'a CheckReport>,
) {
    let assertion = |CheckReport { result, .. }: &CheckReport| {
        json!({
            "assertion": result.kind,
            "name": result.name,
            "success": result.outcome == CheckOutcome::Passed,
            "severity": result.severity,
            "actual": result.found,
        })
    };
    let assertions: Vec<Value> = checks.map(assertion).collect();
    if !assertions.is_empty() {
        output["facets"]["dataQualityAssertions"] = facet(
            "1-1-0",
            "DataQualityAssertionsDatasetFacet",
            json!({ "assertions": assertions }),
        );
    }
}

/// What this version alone is called: who reads it reads the dataset.
fn version_link(output: &Value, relation: &RelationReport) -> Option<Value> {
    let name = output["name"].as_str()?.strip_suffix(relation.relation.as_str())?;
    let is_folder = output["facets"].get("storage").is_some();
    let kind = if is_folder { LOCATION } else { TABLE };
    Some(link(output["namespace"].as_str()?, &format!("{name}{}", relation.published_as), kind))
}

fn link(namespace: &str, name: &str, kind: &str) -> Value {
    json!({ "namespace": namespace, "name": name, "type": kind })
}

fn links_facet(links: Vec<Value>) -> Value {
    facet("1-0-1", "SymlinksDatasetFacet", json!({ "identifiers": links }))
}

/// What inputs and outputs have alike: their source, and their fields where they are known.
fn common_facets(dataset: &DatasetName, fields: &[DatasetField]) -> Map<String, Value> {
    let mut facets = Map::new();
    let namespace = &dataset.namespace;
    let uri = if namespace.contains(':') { namespace.clone() } else { format!("{namespace}:/") };
    let source = json!({ "name": namespace, "uri": uri });
    facets.insert("dataSource".into(), facet("1-0-1", "DatasourceDatasetFacet", source));
    if !fields.is_empty() {
        let fields: Vec<Value> = fields
            .iter()
            .map(|field| json!({ "name": field.name, "type": field.r#type }))
            .collect();
        let says = json!({ "fields": fields });
        facets.insert("schema".into(), facet("1-2-0", "SchemaDatasetFacet", says));
    }
    facets
}

fn column_lineage(columns: &[(String, Vec<FieldOrigin>)], rows: &[FieldOrigin]) -> Value {
    let field = |(name, origins): &(String, Vec<FieldOrigin>)| {
        let origins: Vec<Value> = origins.iter().map(FieldOrigin::to_json).collect();
        (name.clone(), json!({ "inputFields": origins }))
    };
    let fields: Map<String, Value> = columns.iter().map(field).collect();
    let rows: Vec<Value> = rows.iter().map(FieldOrigin::to_json).collect();
    json!({ "fields": fields, "dataset": rows })
}

impl FieldOrigin {
    fn to_json(&self) -> Value {
        let transformation = |how: &Transformation| {
            let kind = if how.kind.is_direct() { "DIRECT" } else { "INDIRECT" };
            json!({ "type": kind, "subtype": how.kind.name(), "masking": how.is_masking })
        };
        let transformations: Vec<Value> = self.transformations.iter().map(transformation).collect();
        let DatasetName { namespace, name } = &self.dataset;
        json!({
            "namespace": namespace, "name": name, "field": self.field,
            "transformations": transformations,
        })
    }
}
