//! `merge`: a row takes the place of the one with its key, or is added, or removes it.

use longshore_postgres_client::quote_ident;
use longshore_sdk::Result;
use longshore_sdk::load_modes::Merge;

use super::Counts;
use super::table::LoadTable;

pub(super) fn merge(table: &mut LoadTable<'_>, how: &Merge) -> Result<Counts> {
    table.keep_sole_rows(&how.key, &how.duplicates)?;
    let removes = how.deleted.as_ref().map(|column| format!("s.{}", quote_ident(column)));
    let lives = removes.as_ref().map_or("TRUE".to_owned(), |removes| format!("NOT {removes}"));
    let (staging, target) = (table.staging, table.target);
    let update = update(table)?;
    let mut counts = Counts::default();
    for pattern in table.null_patterns(&how.key)? {
        let (same, fits) = (pattern.is_same(), pattern.fits());
        if let Some(removes) = &removes {
            counts.deleted += table.change(&format!(
                "DELETE FROM {target} t USING {staging} s WHERE {same} AND {removes}"
            ))?;
        }
        counts.updated += table.change(&format!(
            "{update} FROM {staging} s WHERE {same} AND {lives} AND {}",
            differs(table)?
        ))?;
        let insert = table.insert(&format!(
            "{fits} AND {lives} AND NOT EXISTS (SELECT FROM {target} t WHERE {same})"
        ))?;
        counts.inserted += table.change(&insert)?;
    }
    Ok(counts)
}

/// The statement that gives rows `t` the values of rows `s`.
fn update(table: &LoadTable<'_>) -> Result<String> {
    let set = |name: &String| {
        let column = quote_ident(name);
        Ok(format!("{column} = {}", table.cast(&format!("s.{column}"), name)?))
    };
    let set: Vec<String> =
        table.columns.iter().map(|column| set(&column.name)).collect::<Result<_>>()?;
    Ok(format!("UPDATE {} t SET {}", table.target, set.join(", ")))
}

/// That row `t` is not just like row `s`, to the last byte: values that are equal can differ, as `a` and `A` do by some
/// collations, and 0 and -0.
fn differs(table: &LoadTable<'_>) -> Result<String> {
    let names = table.columns.iter().map(|column| format!("t.{}", quote_ident(&column.name)));
    let there: Vec<String> = names.collect();
    Ok(format!("record_image_ne(ROW({}), ROW({}))", there.join(", "), table.values()?.join(", ")))
}
