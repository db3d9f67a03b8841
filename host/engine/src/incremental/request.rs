//! What a window is opened for: a relation, and how far it has been loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_model::config::Dialect;
use longshore_model::config::incremental::Incremental;
use longshore_model::config::job::Input;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::watermark::{Backfill, ValueOrder, Watermark, WindowRange};

use super::kind::Kind;
use crate::scan::{RelationDescription, Source};

/// How far incremental relations have been loaded, and what is wanted of them.
#[derive(Clone, Debug, Default)]
pub struct LoadState {
    /// The watermarks, by the names of the relations.
    pub watermarks: BTreeMap<String, Watermark>,
    /// The window that is loaded once more, if one is.
    pub backfill: Option<Backfill>,
}

/// The relation that a window is opened for.
pub struct WindowRequest<'a> {
    /// Where the rows come from.
    pub source: &'a Arc<dyn Source>,
    /// The dialect of its SQL.
    pub dialect: Dialect,
    /// The token of the run's snapshot, if there is one.
    pub snapshot: Option<&'a str>,
    /// The table or query.
    pub input: &'a Input,
    /// How it is loaded.
    pub incremental: &'a Incremental,
    /// The relation as the source describes it.
    pub described: &'a RelationDescription,
    /// How far it has been loaded.
    pub state: &'a LoadState,
}

impl WindowRequest<'_> {
    /// The watermark, which must be one of the column that is watched.
    pub(super) fn watermark(&self, range: &WindowRange) -> Result<Option<&Watermark>> {
        let Some(watermark) = self.state.watermarks.get(&self.input.name) else { return Ok(None) };
        if watermark.column == range.column {
            return Ok(Some(watermark));
        }
        let then = watermark.column.as_deref().unwrap_or("the time of change");
        Err(Error::config(format!("`incremental.column`: so far `{then}` was watched")).with_hint(
            format!(
                "watch it again, or give the new column a value to go on from: \
                 `longshore state set JOB_FILE {} VALUE`",
                self.input.name
            ),
        ))
    }

    /// Refuses a watermark of another order: of the values since then, some would be taken for older ones.
    pub(super) fn check_order(&self, kind: Kind, before: Option<&Watermark>) -> Result<()> {
        let Some(Watermark { order: Some(order), value: Some(value), .. }) = before else {
            return Ok(());
        };
        if *order == kind.order() {
            return Ok(());
        }
        let (then, now) = match kind.order() {
            ValueOrder::Bytes => ("numbers or times", "texts"),
            ValueOrder::Value => ("texts", "numbers or times"),
        };
        Err(Error::config(format!(
            "`incremental.column`: its values were {then}, and are {now}: what is new after {value} is not known"
        ))
        .with_hint(format!(
            "give it a value to go on from: `longshore state set JOB_FILE {} VALUE`",
            self.input.name
        )))
    }
}

/// The bounds of a window that was asked for.
pub(super) fn bounds(kind: Kind, Backfill { from, to }: &Backfill) -> Result<(String, String)> {
    let from = kind.read(from).context("`--from`")?;
    let to = kind.read(to).context("`--to`")?;
    if !kind.is_before(&from, &to) {
        return Err(Error::config(format!("`--from` {from} is not before `--to` {to}"))
            .with_hint("the rows from the first value to before the second are loaded"));
    }
    Ok((from, to))
}
