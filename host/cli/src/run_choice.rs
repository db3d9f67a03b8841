//! Which run is meant by the beginning of an id.

use longshore_model::error::{Error, Result};

/// How many runs an ambiguous id names.
pub(crate) const CANDIDATES_SHOWN: usize = 3;

/// The only run of those whose ids begin so; none if there is none.
pub(crate) fn only_run(beginning: &str, found: &[String]) -> Result<Option<String>> {
    if let Some(same) = found.iter().find(|id| *id == beginning) {
        return Ok(Some(same.clone()));
    }
    if found.len() < 2 {
        return Ok(found.first().cloned());
    }
    let runs = found[..found.len().min(CANDIDATES_SHOWN)].join(", ");
    Err(Error::not_found(format!("the ids of several runs begin with `{beginning}`: {runs}"))
        .with_hint("give more of the id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_is_its_run_and_a_beginning_the_only_one() {
        let found = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(only_run("a", &found(&[])).unwrap(), None);
        assert_eq!(only_run("a", &found(&["ab"])).unwrap().as_deref(), Some("ab"));
        assert_eq!(only_run("ab", &found(&["abc", "ab"])).unwrap().as_deref(), Some("ab"));
        let error = only_run("a", &found(&["ab", "ac", "ad", "ae"])).unwrap_err();
        assert_eq!(error.to_string(), "the ids of several runs begin with `a`: ab, ac, ad");
    }
}
