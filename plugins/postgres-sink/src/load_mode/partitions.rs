//! `replace_partitions`: the rows of those partitions that come give way to those that come.

use longshore_sdk::Result;
use longshore_sdk::load_modes::ReplacePartitions;

use super::Counts;
use super::table::{LoadTable, listed};

pub(super) fn replace(table: &mut LoadTable<'_>, by: &ReplacePartitions) -> Result<Counts> {
    let (staging, target) = (table.staging, table.target);
    let columns = listed(by.partition_by.iter());
    let mut deleted = 0;
    for pattern in table.null_patterns(&by.partition_by)? {
        deleted += table.change(&format!(
            "DELETE FROM {target} t USING (SELECT DISTINCT {columns} FROM {staging} s WHERE {}) s WHERE {}",
            pattern.fits(),
            pattern.is_same()
        ))?;
    }
    let insert = table.insert("TRUE")?;
    Ok(Counts { inserted: table.change(&insert)?, deleted, updated: 0 })
}
