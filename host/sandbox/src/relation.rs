//! What is read, as the model and as the contract have it.

use longshore_model::relation;

use crate::contract::v0_6::connector_types::Consistency;
use crate::contract::v0_6::types::Relation;

impl From<relation::Relation> for Relation {
    fn from(relation: relation::Relation) -> Self {
        match relation {
            relation::Relation::Table(name) => Self::Table(name),
            relation::Relation::Query(text) => Self::Query(text),
        }
    }
}

impl From<Consistency> for relation::Consistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Unknown => Self::Unknown,
            Consistency::PerChunk => Self::PerChunk,
            Consistency::Snapshot => Self::Snapshot,
        }
    }
}
