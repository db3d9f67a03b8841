//! Names of columns.

/// Renames those whose names came before in the list: `id`, `id_2`. No name is taken from a column that has
/// it of its own. Names are compared as they are.
pub fn unique_names(names: &[&str]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        if !names[..place].contains(name) {
            unique.push((*name).to_owned());
            continue;
        }
        let is_free = |candidate: &String| {
            !names.contains(&candidate.as_str()) && !unique.contains(candidate)
        };
        let free = (2..).map(|number| format!("{name}_{number}")).find(is_free);
        unique.extend(free);
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_same_name_get_numbers() {
        assert_eq!(unique_names(&["a", "b", "a", "a_2", "a"]), ["a", "b", "a_3", "a_2", "a_4"]);
        assert_eq!(unique_names(&[]), Vec::<String>::new());
    }
}
