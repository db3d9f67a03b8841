//! The tables that a query reads, by the server's plan of it: the server knows what is behind views.

use std::collections::BTreeSet;

use longshore_sdk::Result;
use longshore_sdk::sql::{self, Lexis};

use crate::address::Product;
use crate::session::Session;

/// Spark's name of its catalog, which names in queries do without.
const SPARK_CATALOG: &str = "spark_catalog";

/// What the lines of a plan are drawn with.
const TREE: [char; 5] = [' ', '|', ':', '+', '-'];

/// The tables that a query reads, each once. None where the plan names none, as Hive's own does not.
pub fn tables(session: &mut Session, query: &str) -> Result<Vec<String>> {
    let statement = sql::statement(query, Lexis::HIVE)?;
    let (explain, table): (_, fn(&str) -> Option<String>) = match session.address.product {
        Product::Impala => ("EXPLAIN", table_of_impala),
        Product::Hive => ("EXPLAIN EXTENDED", table_of_spark),
    };
    let plan = session.rows(&format!("{explain} {statement}"))?;
    let lines = plan.rows.iter().flatten().flatten().flat_map(|text| text.lines());
    let tables: BTreeSet<String> = lines.filter_map(table).collect();
    Ok(tables.into_iter().collect())
}

/// `|--01:SCAN HDFS [shop.orders o, RANDOM]`
fn table_of_impala(line: &str) -> Option<String> {
    let (number, node) = line.trim_start_matches(TREE).split_once(':')?;
    let scanned = node.strip_prefix("SCAN ")?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (_, name) = scanned.split_once('[')?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
    let name = &name[..end.unwrap_or(name.len())];
    // Metadata of a table has a third part.
    let mut parts = name.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

/// `+- Relation spark_catalog.shop.orders[id#30,c#31] parquet`, or
/// ``+- HiveTableRelation [`spark_catalog`.`shop`.`orders`, org.apache..``
fn table_of_spark(line: &str) -> Option<String> {
    let node = line.trim_start_matches(TREE);
    let name = if let Some(of_files) = node.strip_prefix("Relation ") {
        of_files.split_once('[')?.0
    } else {
        node.strip_prefix("HiveTableRelation [")?.split_once(',')?.0
    };
    let name = name.replace('`', "");
    let name = name.strip_prefix(SPARK_CATALOG)?.strip_prefix('.')?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impala_names_what_it_scans() {
        let plan = "\
PLAN-ROOT SINK
|
07:EXCHANGE [UNPARTITIONED]
|
03:HASH JOIN [INNER JOIN, BROADCAST]
|  hash predicates: o.c = k.id
|  other predicates: k.name = ':SCAN HDFS [no.table]'
|
|--06:EXCHANGE [BROADCAST]
|  |
|  01:SCAN KUDU [crm.customers k]
|     row-size=4B cardinality=unavailable
|
02:UNION
|  constant-operands=1
|
|--05:SCAN S3 [shop.archive, RANDOM]
04:SCAN HDFS [shop.orders_v2-POSITION-DELETE-04 shop.orders_v2-position-delete]
09:SCAN ICEBERG METADATA [shop.orders_v2.snapshots]
00:SCAN HDFS [shop.orders o]
   HDFS partitions=365/365 files=365 size=50GB";
        let tables: Vec<String> = plan.lines().filter_map(table_of_impala).collect();
        let expected =
            ["crm.customers", "shop.archive", "shop.orders_v2", "shop.orders_v2", "shop.orders"];
        assert_eq!(tables, expected);
    }

    #[test]
    fn spark_names_its_relations() {
        let plan = "\
== Parsed Logical Plan ==
+- 'UnresolvedRelation [big], [], false
== Analyzed Logical Plan ==
Project [id#26]
+- View (`spark_catalog`.`default`.`big`, [id#28,name#29])
   :     +- Relation spark_catalog.shop.orders[id#30,c#31] parquet
   +- HiveTableRelation [`spark_catalog`.`default`.`customers`, org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe]
+- LocalRelation [1#88]";
        let tables: Vec<String> = plan.lines().filter_map(table_of_spark).collect();
        assert_eq!(tables, ["shop.orders", "default.customers"]);
    }
}
