//! The window of a run: the rows of an incremental relation that it loads.

use longshore_model::config::Dialect;
use longshore_model::config::incremental::{LateRows, NullRows, WatchedValue};
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::relation::Relation;
use longshore_model::watermark::{Backfill, Transactions, Watermark, Window, WindowRange};

use super::column::{WatchedColumn, from};
use super::files;
use super::kind::Kind;
use super::late::{LateCommits, look};
use super::request::{WindowRequest, bounds};
use super::rows::value;
use crate::scan::SourceFile;

/// The type of columns that folders tell, as files are described.
const FOLDER: &str = "folder";

/// Opens the window of a run.
pub async fn open_window(request: &WindowRequest<'_>) -> Result<Window> {
    let WatchedValue::Column(name) = &request.incremental.by else {
        return files::open_window(request).await;
    };
    let column = request.column(name)?;
    let range = WindowRange { column: Some(name.clone()), ..WindowRange::default() };
    match &request.state.backfill {
        Some(backfill) => request.backfill(&column, range, backfill),
        None => request.next(&column, range).await,
    }
}

impl WindowRequest<'_> {
    /// The column that is watched.
    fn column(&self, name: &str) -> Result<WatchedColumn<'_>> {
        if self.source.pushdown(&self.input.relation.clone().into()).filter.is_none() {
            let connector = self.source.name();
            return Err(Error::config(format!(
                "`incremental`: the connector `{connector}` does not choose rows by their values"
            ))
            .with_hint("remove `incremental`, and load the whole relation"));
        }
        let is_query = matches!(self.input.relation, Relation::Query(_));
        if is_query && matches!(self.dialect, Dialect::MySql | Dialect::Unknown) {
            // A condition is written in standard SQL, and the query may be in a dialect that is not.
            return Err(Error::config(
                "`incremental`: of this database, a query cannot be loaded so",
            )
            .with_hint("make it a view, and name that as a table"));
        }
        let schema = &self.described.schema;
        let Ok(place) = schema.index_of(name) else {
            let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::not_found(format!("`incremental.column`: no column `{name}`"))
                .with_hint(format!("its columns are {}", known.join(", "))));
        };
        let source_type = &self.described.columns[place].source_type;
        if self.dialect == Dialect::DataFusion && source_type != FOLDER {
            return Err(Error::config(format!("`incremental.column`: `{name}` is in the files"))
                .with_hint(
                    "name a column of folders such as day=2026-11-20, or give `by: modified`",
                ));
        }
        WatchedColumn::new(self.dialect, schema.field(place), source_type)
    }

    /// The window that was asked for.
    fn backfill(
        &self,
        column: &WatchedColumn<'_>,
        range: WindowRange,
        backfill: &Backfill,
    ) -> Result<Window> {
        let (from, to) = bounds(column.kind, backfill)?;
        let condition =
            format!("{} AND {}", column.compared(">=", &from)?, column.compared("<", &to)?);
        Ok(Window {
            relation: self.input.name.clone(),
            range: WindowRange { from: Some(from), to: Some(to), backfill: true, ..range },
            condition: Some(condition),
            ..Window::default()
        })
    }

    /// The window that follows the watermark.
    async fn next(&self, column: &WatchedColumn<'_>, range: WindowRange) -> Result<Window> {
        let before = self.watermark(&range)?;
        self.check_order(column.kind, before)?;
        self.check_nulls(column).await?;
        let read = |value: Option<&str>| value.map(|value| column.kind.read(value)).transpose();
        let initial = read(self.incremental.initial.as_deref());
        let initial = initial.context("`incremental.initial`")?;
        let loaded = read(before.and_then(|before| before.value.as_deref()));
        let loaded = loaded.context("the watermark")?;
        let last = loaded.clone().or_else(|| initial.clone());
        let newest = self.newest(column, last.as_deref()).await?;
        let to = newest.or_else(|| loaded.clone());
        let from = self.lower_bound(column.kind, loaded.as_deref(), to.as_deref())?.or(last);
        let transactions = before.and_then(|before| before.transactions.as_ref());
        let late = self.late(column.kind, transactions).await?;
        let bounds =
            Bounds { from: from.as_deref(), to: to.as_deref(), initial: initial.as_deref() };
        let condition = self.condition(column, &bounds, before.is_none(), &late)?;
        let after = Watermark {
            column: range.column.clone(),
            value: to.clone(),
            order: Some(column.kind.order()),
            transactions: late.transactions,
            files: Vec::new(),
        };
        Ok(Window {
            relation: self.input.name.clone(),
            range: WindowRange { from, to, ..range },
            condition,
            before: before.cloned(),
            after: Some(after),
            warnings: late.warning.into_iter().collect(),
        })
    }

    /// The value from which on rows are loaded again, if the job gives a lag. One that does not fit the column is
    /// told by the first run.
    fn lower_bound(
        &self,
        kind: Kind,
        loaded: Option<&str>,
        to: Option<&str>,
    ) -> Result<Option<String>> {
        let (Some(lag), Some(value)) = (&self.incremental.lag, loaded.or(to)) else {
            return Ok(None);
        };
        let earlier = kind.before(value, lag)?;
        Ok(loaded.map(|_| earlier))
    }

    /// The greatest value of rows that are new; none where there are none.
    async fn newest(
        &self,
        column: &WatchedColumn<'_>,
        last: Option<&str>,
    ) -> Result<Option<String>> {
        if let Some(values) = self.folder_values(column).await? {
            return Ok(files::newest(column.kind, values.into_iter().flatten(), last));
        }
        if column.kind == Kind::Transaction {
            return self.newest_transaction(last).await;
        }
        let table = from(self.dialect, &self.input.relation);
        let is_new = last.map(|last| column.compared(">", last)).transpose()?;
        let is_new = is_new.map(|is_new| format!(" WHERE {is_new}")).unwrap_or_default();
        let sql = format!("SELECT {} AS newest FROM {table}{is_new}", column.greatest());
        let newest = value(self.source, sql, self.snapshot).await?;
        let newest = newest.map(|newest| column.kind.read(&newest)).transpose();
        newest.map_err(|error| {
            let error = error.with_class(Class::Data).with_context("the greatest value");
            error.with_hint("leave such rows out: make the relation a query with a WHERE")
        })
    }

    /// The last transaction before the oldest that is running, if it came after the last that was loaded.
    async fn newest_transaction(&self, last: Option<&str>) -> Result<Option<String>> {
        let sql = "SELECT (txid_snapshot_xmin(txid_current_snapshot()) - 1)::text AS newest";
        let newest = value(self.source, sql.to_owned(), self.snapshot).await?;
        let is_new =
            |newest: &String| last.is_none_or(|last| Kind::Transaction.is_before(last, newest));
        Ok(newest.filter(is_new))
    }

    /// Fails where a row without a value must not be.
    async fn check_nulls(&self, column: &WatchedColumn<'_>) -> Result<()> {
        let WatchedValue::Column(name) = &self.incremental.by else { return Ok(()) };
        let is_nullable =
            self.described.schema.field_with_name(name).is_ok_and(|field| field.is_nullable());
        if self.incremental.nulls != NullRows::Fail || !is_nullable {
            return Ok(());
        }
        let missing = match self.folder_values(column).await? {
            Some(values) => match values.iter().filter(|value| value.is_none()).count() {
                0 => return Ok(()),
                files => format!("{files} files"),
            },
            None => match self.rows_without(column).await? {
                0 => return Ok(()),
                rows => format!("{rows} rows"),
            },
        };
        Err(Error::data(format!("`incremental.column`: `{name}` is NULL in {missing}"))
            .with_hint("give `nulls: include_once` or `nulls: always`, or fill them in"))
    }

    /// How many rows have no value.
    async fn rows_without(&self, column: &WatchedColumn<'_>) -> Result<u64> {
        let table = from(self.dialect, &self.input.relation);
        let sql = format!("SELECT COUNT(*) AS missing FROM {table} WHERE {}", column.is_null());
        let count = value(self.source, sql, self.snapshot).await?.unwrap_or_default();
        count.parse().map_err(|_| Error::internal(format!("the source counts `{count}` rows")))
    }

    /// The values that the folders of files have in the column; none of what a connector reads.
    async fn folder_values(
        &self,
        column: &WatchedColumn<'_>,
    ) -> Result<Option<Vec<Option<String>>>> {
        let WatchedValue::Column(name) = &self.incremental.by else { return Ok(None) };
        let relation = self.input.relation.clone().into();
        let Some(files) = self.source.files(&relation).await? else { return Ok(None) };
        let value = |file: SourceFile| {
            let own = file.partitions.into_iter().find(|(column, _)| column == name);
            own.and_then(|(_, value)| value).map(|value| column.kind.read(&value)).transpose()
        };
        files.into_iter().map(value).collect::<Result<_>>().map(Some)
    }

    /// What is known of rows that are committed late.
    async fn late(&self, kind: Kind, before: Option<&Transactions>) -> Result<Late> {
        let wish = self.incremental.late;
        let is_wanted = match wish {
            Some(LateRows::Ignore) => false,
            Some(LateRows::Find) => true,
            None => self.dialect == Dialect::PostgreSql,
        };
        // No transaction that has ended commits later.
        if !is_wanted || kind == Kind::Transaction {
            return Ok(Late::default());
        }
        let relation = (self.dialect, &self.input.relation);
        match look(self.source, relation, self.snapshot, before).await? {
            Ok(LateCommits { now, condition, warning }) => {
                Ok(Late { transactions: Some(now), condition, warning })
            }
            Err(why) if wish == Some(LateRows::Find) => {
                Err(Error::config(format!("`incremental.late`: {why}"))
                    .with_hint("give `lag` in its place: each run then goes back so far"))
            }
            Err(_) if self.incremental.lag.is_some() => Ok(Late::default()),
            Err(why) => Ok(Late {
                warning: Some(format!(
                    "rows that are committed late are lost: {why}. Give `lag`, or `late: ignore`"
                )),
                ..Late::default()
            }),
        }
    }

    /// The rows of the window; none where there are none.
    fn condition(
        &self,
        column: &WatchedColumn<'_>,
        bounds: &Bounds<'_>,
        is_first: bool,
        late: &Late,
    ) -> Result<Option<String>> {
        let takes_nulls = match self.incremental.nulls {
            NullRows::Fail => false,
            NullRows::IncludeOnce => is_first,
            NullRows::Always => true,
        };
        let unseen = late.condition.as_deref();
        let late = unseen.map(|unseen| self.late_condition(column, bounds, unseen)).transpose()?;
        let nulls = takes_nulls.then(|| column.is_null());
        let parts = [bounds.condition(column)?, nulls, late].into_iter().flatten();
        let parts: Vec<String> = parts.map(|part| format!("({part})")).collect();
        Ok((!parts.is_empty()).then(|| parts.join(" OR ")))
    }

    /// The rows below the window that the run before did not see.
    fn late_condition(
        &self,
        column: &WatchedColumn<'_>,
        bounds: &Bounds<'_>,
        unseen: &str,
    ) -> Result<String> {
        let mut below = match bounds.from.or(bounds.to) {
            Some(from) => column.compared("<=", from)?,
            // There was no value to be below of.
            None => "1 = 0".to_owned(),
        };
        if let Some(initial) = bounds.initial {
            below = format!("{} AND {below}", column.compared(">", initial)?);
        }
        if self.incremental.nulls == NullRows::IncludeOnce {
            below = format!("({below}) OR {}", column.is_null());
        }
        Ok(format!("({below}) AND {unseen}"))
    }
}

/// What is known of rows that are committed late.
#[derive(Default)]
struct Late {
    /// The transactions that this run sees.
    transactions: Option<Transactions>,
    /// The condition for rows that the run before did not see.
    condition: Option<String>,
    warning: Option<String>,
}

/// The bounds of a window, and where the first one began.
struct Bounds<'a> {
    from: Option<&'a str>,
    to: Option<&'a str>,
    initial: Option<&'a str>,
}

impl Bounds<'_> {
    /// The rows between the bounds; none where they are the same, or there is no value.
    fn condition(&self, column: &WatchedColumn<'_>) -> Result<Option<String>> {
        let (Some(to), from) = (self.to, self.from) else { return Ok(None) };
        let upper = column.compared("<=", to)?;
        Ok(match from {
            Some(from) if from == to => None,
            Some(from) => Some(format!("{} AND {upper}", column.compared(">", from)?)),
            None => Some(upper),
        })
    }
}
