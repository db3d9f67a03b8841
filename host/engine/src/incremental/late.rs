//! Rows of PostgreSQL that are committed late.
//!
//! A transaction takes a value, such as `now()` or one of a sequence, and commits later. Another one that took a
//! greater value may commit first, and then the watermark is beyond the first one's. Its rows are told by the
//! transaction that wrote them, which PostgreSQL keeps in each row as `xmin`: they are below the watermark, and
//! the run that took it did not see their transaction.
//!
//! What a run sees is its snapshot: all transactions before the oldest that is running, and some of those from it
//! on. The snapshot does not list subtransactions, which rows name too. So those that were seen are looked up in
//! the rows themselves.
//!
//! Rows have the last 32 bits of a transaction's number. They are counted back from the newest one.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_model::config::Dialect;
use longshore_model::error::{Error, Result};
use longshore_model::relation::Relation;
use longshore_model::watermark::Transactions;

use super::column::from;
use super::rows::query;
use crate::scan::Source;

/// Transactions are numbered anew after so many.
const EPOCH: u64 = 1 << 32;

/// Over more transactions than this, nothing is told from what a row has. `age` compares over twice as many.
const SPAN_LIMIT: u64 = 1 << 30;

/// The most transactions that are remembered.
const SEEN_LIMIT: usize = 100_000;

/// The most partitions whose files are remembered.
const FILES_LIMIT: usize = 1_000;

/// The greatest number that no transaction has.
const LAST_RESERVED: u64 = 2;

/// The transactions by which a run finds rows that are committed late.
pub(super) struct LateCommits {
    /// The transactions that this run sees.
    pub(super) now: Transactions,
    /// The condition for rows that the run before did not see; none where nothing is known of it.
    pub(super) condition: Option<String>,
    /// Why nothing can be told this time, if so.
    pub(super) warning: Option<String>,
}

/// Looks at a table's transactions in the run's snapshot. Why late rows cannot be told, if they cannot.
pub(super) async fn look(
    source: &Arc<dyn Source>,
    (dialect, relation): (Dialect, &Relation),
    snapshot: Option<&str>,
    before: Option<&Transactions>,
) -> Result<Result<LateCommits, &'static str>> {
    let (Relation::Table(table), Dialect::PostgreSql) = (relation, dialect) else {
        return Ok(Err("only the tables of PostgreSQL tell who wrote a row"));
    };
    let Some(snapshot) = snapshot else { return Ok(Err("there is no snapshot")) };
    let table = from(dialect, &Relation::Table(table.clone()));
    let facts = match facts(source, &table, snapshot).await? {
        Ok(facts) => facts,
        Err(why) => return Ok(Err(why)),
    };
    let (oldest, next, files) = facts;
    let mut seen = Vec::new();
    if oldest < next {
        seen = transactions_seen(source, &table, snapshot, oldest, next).await?;
    }
    if seen.len() > SEEN_LIMIT {
        return Ok(Err("a transaction has been open for too long"));
    }
    let now = Transactions { oldest, next, seen, files };
    let (condition, warning) = match before {
        None => (None, None),
        Some(before) => match unfit(before, &now) {
            Some(why) => {
                (None, Some(format!("rows that were committed late are not looked for: {why}")))
            }
            None => (unseen(before, now.next), None),
        },
    };
    Ok(Ok(LateCommits { now, condition, warning }))
}

/// The oldest transaction that is running, the next one, and the table's files.
async fn facts(
    source: &Arc<dyn Source>,
    table: &str,
    snapshot: &str,
) -> Result<Result<(u64, u64, Vec<String>), &'static str>> {
    let name = format!("to_regclass('{}')", table.replace('\'', "''"));
    let sql = format!(
        "WITH RECURSIVE tree(oid) AS (SELECT {name}::oid UNION \
           SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON i.inhparent = t.oid) \
         SELECT txid_current_snapshot()::text AS snapshot, pg_is_in_recovery()::text AS follows, \
           (SELECT bool_and(c.relkind = 'p' OR (c.relkind = 'r' AND c.relam IN (0, 2)))::text \
            FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid) AS is_table, \
           (SELECT string_agg(f.file, ',') FROM (SELECT c.oid || ':' || pg_relation_filenode(c.oid) AS file \
            FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.relkind = 'r' \
            ORDER BY c.oid LIMIT {FILES_LIMIT}) AS f) AS files"
    );
    let rows = query(source, sql, Some(snapshot)).await?;
    let Some([Some(seen), follows, is_table, files]) = rows.first().map(Vec::as_slice) else {
        return Err(Error::internal("PostgreSQL says nothing of its transactions"));
    };
    if is_table.as_deref() != Some("true") {
        return Ok(Err("it is no table of rows that tell who wrote them"));
    }
    if follows.as_deref() != Some("false") {
        return Ok(Err("a standby does not tell which transactions are running"));
    }
    let mut numbers = seen.split(':').map(|part| part.parse::<u64>().ok());
    let (Some(Some(oldest)), Some(Some(next))) = (numbers.next(), numbers.next()) else {
        return Err(Error::internal(format!("`{seen}` is no snapshot of PostgreSQL's")));
    };
    let files = files.iter().flat_map(|files| files.split(','));
    Ok(Ok((oldest, next, files.map(str::to_owned).collect())))
}

/// The transactions from the oldest running one on whose rows are seen.
async fn transactions_seen(
    source: &Arc<dyn Source>,
    table: &str,
    snapshot: &str,
    oldest: u64,
    next: u64,
) -> Result<Vec<u64>> {
    let (behind, recent) = (behind(next), recent(oldest, next));
    let sql = format!(
        "SELECT DISTINCT {behind} AS behind FROM {table} WHERE {recent} LIMIT {}",
        SEEN_LIMIT + 1
    );
    let rows = query(source, sql, Some(snapshot)).await?;
    let number = |row: Vec<Option<String>>| {
        let behind = row.into_iter().next().flatten()?.parse::<u64>().ok()?;
        next.checked_sub(behind + 1)
    };
    let mut seen: Vec<u64> = rows.into_iter().filter_map(number).collect();
    seen.sort_unstable();
    Ok(seen)
}

/// Why rows that another run saw cannot be told from those that it did not see, if they cannot.
fn unfit(before: &Transactions, now: &Transactions) -> Option<&'static str> {
    if before.next > now.next {
        return Some("the watermark was taken from another server");
    }
    if now.next - before.oldest > SPAN_LIMIT {
        return Some("too many transactions have passed since");
    }
    is_rewritten(before, now).then_some("the table was rewritten since")
}

/// Whether a table or partition is in another file than before. One that is new is none of them.
fn is_rewritten(before: &Transactions, now: &Transactions) -> bool {
    let known: BTreeMap<&str, &str> =
        before.files.iter().filter_map(|file| file.split_once(':')).collect();
    let mut files = now.files.iter().filter_map(|file| file.split_once(':'));
    files.any(|(table, file)| known.get(table).is_some_and(|known| *known != file))
}

/// How many transactions came after a row's and before the next one, modulo an epoch.
fn behind(next: u64) -> String {
    format!("mod({} - xmin::text::bigint, {EPOCH})", next % EPOCH + EPOCH - 1)
}

/// The condition for rows of transactions from the oldest on. The first part is quick, and leaves out nearly all
/// others.
fn recent(oldest: u64, next: u64) -> String {
    format!(
        "age(xmin) <= age('{}'::xid) AND {} < {} AND xmin::text::bigint > {LAST_RESERVED}",
        oldest % EPOCH,
        behind(next),
        next - oldest
    )
}

/// The condition for rows that a run did not see; none where nothing was written since.
fn unseen(before: &Transactions, next: u64) -> Option<String> {
    if before.oldest == next {
        return None;
    }
    let recent = recent(before.oldest, next);
    if before.seen.is_empty() {
        return Some(recent);
    }
    let seen: Vec<String> = before.seen.iter().map(|id| (next - 1 - id).to_string()).collect();
    Some(format!("{recent} AND {} <> ALL ('{{{}}}'::bigint[])", behind(next), seen.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transactions(oldest: u64, next: u64, seen: &[u64]) -> Transactions {
        Transactions { oldest, next, seen: seen.to_vec(), files: vec!["7:1".into()] }
    }

    #[test]
    fn what_was_not_seen_is_counted_back_from_the_next_transaction() {
        let before = transactions(90, 100, &[92, 95]);
        assert_eq!(
            unseen(&before, 110).unwrap(),
            "age(xmin) <= age('90'::xid) AND mod(4294967405 - xmin::text::bigint, 4294967296) < 20 \
             AND xmin::text::bigint > 2 \
             AND mod(4294967405 - xmin::text::bigint, 4294967296) <> ALL ('{17,14}'::bigint[])"
        );
        assert_eq!(unseen(&transactions(100, 100, &[]), 100), None);
    }

    /// The same arithmetic as the server's, over the epoch's end.
    #[test]
    fn transactions_are_told_over_the_end_of_an_epoch() {
        let next = EPOCH + 50;
        let behind = |id: u64| (next % EPOCH + EPOCH - 1 - id % EPOCH) % EPOCH;
        for id in [EPOCH - 7, EPOCH + 3, EPOCH + 49] {
            assert_eq!(next - 1 - behind(id), id);
        }
    }

    #[test]
    fn nothing_is_told_of_another_server_or_of_a_rewritten_table() {
        let before = transactions(90, 100, &[]);
        assert_eq!(unfit(&before, &transactions(120, 120, &[])), None);
        assert!(unfit(&before, &transactions(50, 60, &[])).is_some());
        assert!(unfit(&before, &transactions(SPAN_LIMIT + 99, SPAN_LIMIT + 99, &[])).is_some());
        let in_files = |files: &[&str]| Transactions {
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            ..transactions(120, 120, &[])
        };
        assert_eq!(unfit(&before, &in_files(&["7:1", "8:1"])), None, "a partition is new");
        assert!(unfit(&before, &in_files(&["7:2"])).is_some());
    }
}
