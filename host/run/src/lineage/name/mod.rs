//! The names of datasets, as all programs that speak OpenLineage form them:
//! <https://openlineage.io/docs/spec/naming>.

mod place;
mod query;
mod server;
pub(super) mod source;
pub(super) mod target;
