//! Names of columns.

/// Renames those that stand before in the list: `id`, `id_2`. Names are compared as they are.
pub fn unique_names(names: &[&str]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let is_taken = |candidate: &str| unique.iter().any(|other| other == candidate);
        let mut candidate = (*name).to_owned();
        let mut number = 2;
        while is_taken(&candidate) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        unique.push(candidate);
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_same_name_get_numbers() {
        assert_eq!(unique_names(&["a", "b", "a", "a_2", "a"]), ["a", "b", "a_2", "a_2_2", "a_3"]);
        assert_eq!(unique_names(&[]), Vec::<String>::new());
    }
}
