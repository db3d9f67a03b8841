//! Where a table's files are, for the host to read them itself.

use longshore_sdk::{Relation, Result, Storage, TableFiles, TableFolder};

use crate::address::Product;
use crate::facts::Facts;
use crate::relation::{self, Partition, qualified};
use crate::service::Column;
use crate::session::{Session, quote, quote_text};

/// The most partitions that Hive is asked for the place of, each by a statement of its own.
const PARTITION_LIMIT: usize = 500;

pub fn storage(session: &mut Session, relation: &Relation, columns: &[Column]) -> Result<Storage> {
    let unavailable = |why: &str| Ok(Storage::Unavailable(why.to_owned()));
    let Relation::Table(name) = relation else { return unavailable("it is a query") };
    let table = qualified(name);
    let Some(facts) = Facts::look_up(session, &table)? else {
        return unavailable("the catalog does not know it as a table");
    };
    if let Some(why) = facts.unfit() {
        return unavailable(why);
    }
    let folders = match (facts.partitioned_by.is_empty(), facts.location) {
        (true, Some(location)) => vec![TableFolder { location, partition: Vec::new() }],
        (true, None) => return unavailable("the catalog does not say where it is"),
        (false, _) => {
            let partitions = relation::partitions(session, relation)?;
            if session.address.product == Product::Hive && partitions.len() > PARTITION_LIMIT {
                return unavailable(&format!(
                    "it has over {PARTITION_LIMIT} partitions, and Hive tells the place of each alone"
                ));
            }
            let folders = partitions.into_iter().map(|of| folder(session, &table, of));
            match folders.collect::<Result<Option<Vec<_>>>>()? {
                Some(folders) => folders,
                None => return unavailable("a partition is not plain Parquet"),
            }
        }
    };
    Ok(Storage::Files(TableFiles { folders, caveat: caveat(session.address.product, columns) }))
}

/// A partition's folder; nothing if its files are not what the table's are.
fn folder(session: &mut Session, table: &str, of: Partition) -> Result<Option<TableFolder>> {
    let location = match session.address.product {
        Product::Impala => of.location,
        Product::Hive => {
            let facts = Facts::of_partition(session, table, &specification(&of.keys))?;
            facts.unfit().is_none().then_some(facts.location).flatten()
        }
    };
    Ok(location.map(|location| TableFolder { location, partition: of.keys }))
}

fn specification(keys: &[(String, Option<String>)]) -> String {
    let key = |(name, value): &(String, Option<String>)| {
        let value = value.as_deref().unwrap_or(relation::NULL_PARTITION);
        format!("{}={}", quote(name), quote_text(value))
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

/// What the server makes of values that a reader of files does not.
fn caveat(product: Product, columns: &[Column]) -> Option<String> {
    let first = |is: fn(&Column) -> bool| columns.iter().find(|column| is(column));
    if let Some(column) = first(|column| column.hive_type.is_padded()) {
        return Some(format!("`{}` is a char, which the server fills up with spaces", column.name));
    }
    match (product, first(|column| column.hive_type.is_timestamp())) {
        (Product::Hive, Some(column)) => Some(format!(
            "`{}` is a timestamp, which the server turns into its session's time zone",
            column.name
        )),
        _ => None,
    }
}
