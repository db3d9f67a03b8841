//! The tables of a run. All that lies out of sight begins with `longshore_` and the run's id, so that
//! it can be found again, and told from what is somebody else's.

use longshore_postgres_client::quote_ident;
use longshore_sdk::{Error, Load, Result};
use sha2::{Digest, Sha256};

/// The longest name that PostgreSQL keeps.
const NAME_LIMIT_BYTES: usize = 63;

/// Where the tables are.
pub(crate) struct Names {
    pub(crate) schema: String,
}

impl Names {
    /// A table, as SQL names it.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(name))
    }

    /// The run's own table.
    pub(crate) fn run(&self, run: &str) -> String {
        self.table(&run_name(run))
    }

    /// The staging table of a load.
    pub(crate) fn staging(&self, load: &Load) -> String {
        self.table(&staging_name(load))
    }
}

/// The run's own table.
pub(crate) fn run_name(run: &str) -> String {
    format!("longshore_{run}")
}

/// The staging table of a load: relations can have longer names than tables.
fn staging_name(load: &Load) -> String {
    let digest = Sha256::digest(&load.relation);
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{digits}", run_name(&load.run))
}

/// A pattern (of `~`) that fits what lies out of sight of a run, and nothing else.
pub(crate) fn pattern(run: &str) -> String {
    format!("^{}(_[0-9a-f]{{8}})?$", run_name(run))
}

/// The server would cut longer names off, silently.
pub(crate) fn check(what: &str, name: &str) -> Result<()> {
    match name.len() {
        0 => Err(Error::config(format!("{what} has no name"))
            .with_hint("give it one by an `sql` step: SELECT .. AS name")),
        length if length > NAME_LIMIT_BYTES => Err(Error::config(format!(
            "{what} `{name}`: its name is over {NAME_LIMIT_BYTES} bytes, which PostgreSQL cuts off"
        ))
        .with_hint("give it a shorter one with `as:` or by an `sql` step")),
        _ => Ok(()),
    }
}

/// `orders`, `orders_v2`, ...: the first one that is free.
pub(crate) fn version(relation: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut number = 1_u64;
    loop {
        let name = match number {
            1 => relation.to_owned(),
            number => format!("{relation}_v{number}"),
        };
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use longshore_sdk::Mode;

    use super::*;

    #[test]
    fn names_fit_whatever_the_relation_is_called() {
        let load = Load {
            run: "20261121T162145Z-ab12cd34".into(),
            relation: "é".repeat(100),
            mode: Mode::Version,
        };
        assert!(staging_name(&load).len() <= NAME_LIMIT_BYTES);
        assert!(check("table", &load.relation).is_err());
        assert!(check("column", "").is_err());
    }

    #[test]
    fn the_first_free_version_is_taken() {
        let there = ["orders", "orders_v2", "orders_v4"];
        assert_eq!(version("orders", |name| there.contains(&name)), "orders_v3");
        assert_eq!(version("items", |name| there.contains(&name)), "items");
    }
}
