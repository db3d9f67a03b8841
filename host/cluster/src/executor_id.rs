//! What a scheduler calls an executor: its name, and a part of its own, since two executors may have one name.

use longshore_model::error::Result;

use crate::address::unguessable;

/// The length of an id's own part.
const OWN_PART: usize = 8;

/// A new id for an executor of this name.
pub(crate) fn new_id(name: &str) -> Result<String> {
    Ok(format!("{name} {}", &unguessable()?[..OWN_PART]))
}

/// The name in an id.
pub(crate) fn name_of(id: &str) -> &str {
    id.rsplit_once(' ').map_or(id, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_its_ids_which_differ() {
        let (one, other) = (new_id("machine 1").unwrap(), new_id("machine 1").unwrap());
        assert_ne!(one, other);
        assert_eq!([name_of(&one), name_of(&other)], ["machine 1"; 2]);
    }
}
