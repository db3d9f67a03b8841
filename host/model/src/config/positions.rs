//! Where keys stand in a file: line and column, for whoever has to correct it.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

/// Line and column, from 1.
pub(super) type Position = (usize, usize);

/// The positions of all keys of a text by their paths: `target.mode`, `relations[0].as`. What cannot be read
/// has none.
pub(super) fn positions(text: &str, ending: &str) -> HashMap<String, Position> {
    let mut found = HashMap::new();
    if ending == "toml" {
        if let Ok(table) = DeTable::parse(text) {
            toml_keys(text, table.get_ref(), "", &mut found);
        }
    } else if let Ok(tree) = serde_saphyr::from_str::<Tree>(text) {
        tree.collect("", &mut found);
    }
    found
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn toml_keys(text: &str, table: &DeTable<'_>, path: &str, found: &mut HashMap<String, Position>) {
    for (key, value) in table {
        let place = join(path, key.get_ref());
        let before = &text[..key.span().start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        found.insert(place.clone(), (line, column));
        toml_values(text, value.get_ref(), &place, found);
    }
}

fn toml_values(text: &str, value: &DeValue<'_>, path: &str, found: &mut HashMap<String, Position>) {
    match value {
        DeValue::Table(table) => toml_keys(text, table, path, found),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                toml_values(text, item.get_ref(), &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// YAML, and JSON, which is YAML, too.
enum Tree {
    Leaf,
    List(Vec<Tree>),
    Map(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    fn collect(&self, path: &str, found: &mut HashMap<String, Position>) {
        match self {
            Self::Leaf => {}
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect(&format!("{path}[{index}]"), found);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    let place = join(path, &key.value);
                    let at = &key.referenced;
                    found.insert(place.clone(), (at.line() as usize, at.column() as usize));
                    value.collect(&place, found);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

macro_rules! leaves {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Tree, E> {
            Ok(Tree::Leaf)
        })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Tree, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let yaml = "name: a\ntarget:\n  url: x\n  mode: y\nrelations:\n  - table: t\n    as: b\n";
        let found = positions(yaml, "yaml");
        assert_eq!(found.get("target.mode"), Some(&(4, 3)));
        assert_eq!(found.get("relations[0].as"), Some(&(7, 5)));
        let json = "{\n  \"target\": {\n    \"mode\": 1\n  }\n}\n";
        assert_eq!(positions(json, "json").get("target.mode"), Some(&(3, 5)));
        let toml = "name = 'a'\n[target]\nurl = 'x'\nmode = 'y'\n[[relations]]\ntable = 't'\n";
        assert_eq!(positions(toml, "toml").get("target.mode"), Some(&(4, 1)));
        assert_eq!(positions(toml, "toml").get("relations[0].table"), Some(&(6, 1)));
    }
}
