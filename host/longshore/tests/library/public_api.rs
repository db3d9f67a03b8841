//! What the library promises to others, as one text. It is read from the sources: each item that `src/lib.rs` exports,
//! wherever in the project it is defined, without what is private and without bodies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{Visit, visit_type_path};
use syn::{Attribute, Block, Fields, File, ImplItem, Item, TypePath, UseTree, Visibility};

#[test]
fn the_interface_changes_only_with_its_snapshot() {
    let texts = exports().into_iter().map(|export| {
        let items = export.items;
        let text = prettyplease::unparse(&File { shebang: None, attrs: Vec::new(), items });
        format!("// {}\n{text}", export.name)
    });
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n"));
}

#[test]
fn whatever_the_interface_names_is_a_part_of_it() {
    let (mut known, mut named) = (BTreeSet::from(KNOWN.map(str::to_owned)), Named::default());
    for export in exports() {
        known.insert(export.defined_as);
        export.items.iter().for_each(|item| named.visit_item(item));
    }
    let missing: Vec<&String> = named.0.difference(&known).collect();
    assert!(missing.is_empty(), "export these, or make private what names them: {missing:?}");
}

/// What the interface names of the language, of its library, and of other crates.
const KNOWN: [&str; 27] = [
    "Arc",
    "BTreeMap",
    "Box",
    "Context",
    "Duration",
    "Formatter",
    "Option",
    "Path",
    "PathBuf",
    "Pin",
    "Poll",
    "RecordBatch",
    "Self",
    "StdError",
    "String",
    "Value",
    "Vec",
    "bool",
    "f64",
    "i64",
    "str",
    "u32",
    "u64",
    "u8",
    "usize",
    "T",
    "E",
];

/// The names of types.
#[derive(Default)]
struct Named(BTreeSet<String>);

impl<'a> Visit<'a> for Named {
    fn visit_type_path(&mut self, path: &'a TypePath) {
        // `Self::Output` is told where it is defined.
        let is_own = path.path.segments.first().is_some_and(|first| first.ident == "Self");
        if let Some(last) = path.path.segments.last().filter(|_| !is_own) {
            self.0.insert(last.ident.to_string());
        }
        visit_type_path(self, path);
    }
}

/// Something that is exported.
struct Export {
    /// Its name for others.
    name: String,
    /// Its name where it is defined.
    defined_as: String,
    /// It, and its implementations.
    items: Vec<Item>,
}

fn exports() -> Vec<Export> {
    let mut exports = Vec::new();
    collect("", parse(&own("src/lib.rs")).items, &mut exports);
    exports.sort_by(|one, other| one.name.cmp(&other.name));
    exports
}

/// What the items of a module export.
fn collect(within: &str, items: Vec<Item>, exports: &mut Vec<Export>) {
    for mut item in items {
        match &mut item {
            Item::Use(one) if is_public(&one.vis, &one.attrs) => {
                for (path, name) in spelled_out(&one.tree, &[]) {
                    exports.push(exported(&path, format!("{within}{name}")));
                }
            }
            Item::Mod(one) if is_public(&one.vis, &one.attrs) => {
                let (_, items) = one.content.take().expect("a module within `lib.rs`");
                collect(&format!("{within}{}::", one.ident), items, exports);
            }
            Item::Fn(one) if is_public(&one.vis, &one.attrs) => {
                let name = one.sig.ident.to_string();
                exports.extend(bare(item).map(|item| Export {
                    name: format!("{within}{name}"),
                    defined_as: name,
                    items: vec![item],
                }));
            }
            _ => {}
        }
    }
}

/// `a::{b, c as d}` is `a::b` under the name `b`, and `a::c` under `d`.
fn spelled_out(tree: &UseTree, before: &[String]) -> Vec<(Vec<String>, String)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => spelled_out(&path.tree, &with(&path.ident)),
        UseTree::Name(name) => vec![(with(&name.ident), name.ident.to_string())],
        UseTree::Rename(name) => vec![(with(&name.ident), name.rename.to_string())],
        UseTree::Group(group) => {
            group.items.iter().flat_map(|tree| spelled_out(tree, before)).collect()
        }
        UseTree::Glob(_) => panic!("a glob exports what nobody has decided on"),
    }
}

/// An item of a crate of the project, or a whole crate of others.
fn exported(path: &[String], name: String) -> Export {
    let (first, defined_as) = (&path[0], path.last().expect("a name").clone());
    if path.len() == 1 {
        let items = vec![syn::parse_str(&format!("pub use {first};")).expect("an item")];
        return Export { name, defined_as, items };
    }
    let files = match first.strip_prefix("longshore_") {
        Some(other) => sources(&own("..").join(other).join("src")),
        None => vec![own("src").join(first).with_extension("rs")],
    };
    let defines = |item: &Item| is_named(item, &defined_as);
    let mut found = files.iter().map(|file| parse(file).items);
    let items = found.find(|items| items.iter().any(defines));
    let items = items.unwrap_or_else(|| panic!("`{}` is not found", path.join("::")));
    let of_it = |item: &Item| is_named(item, &defined_as) || is_of(item, &defined_as);
    let items = items.into_iter().filter(of_it).filter_map(bare).collect();
    Export { name, defined_as, items }
}

/// Whether an item is public, and defined under a name.
fn is_named(item: &Item, name: &str) -> bool {
    match item {
        Item::Struct(one) => one.ident == name && is_public(&one.vis, &one.attrs),
        Item::Enum(one) => one.ident == name && is_public(&one.vis, &one.attrs),
        Item::Type(one) => one.ident == name && is_public(&one.vis, &one.attrs),
        Item::Fn(one) => one.sig.ident == name && is_public(&one.vis, &one.attrs),
        _ => false,
    }
}

/// Whether something is implemented for the type of a name. What a macro makes of it is told as it is written.
fn is_of(item: &Item, name: &str) -> bool {
    match item {
        Item::Impl(one) => {
            matches!(&*one.self_ty, syn::Type::Path(path) if path.path.is_ident(name))
        }
        Item::Macro(one) => name == "Error" && one.ident.is_none(),
        _ => false,
    }
}

fn is_public(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    let is_hidden = |one: &Attribute| matches!(&one.meta, syn::Meta::List(list) if list.path.is_ident("doc") && list.tokens.to_string() == "hidden");
    matches!(visibility, Visibility::Public(_)) && !attributes.iter().any(is_hidden)
}

/// An item without what is private, without bodies and comments; none if nothing of it is left.
fn bare(mut item: Item) -> Option<Item> {
    match &mut item {
        Item::Struct(one) => {
            keep_promises(&mut one.attrs);
            bare_fields(&mut one.fields);
        }
        Item::Enum(one) => {
            keep_promises(&mut one.attrs);
            for variant in &mut one.variants {
                keep_promises(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| keep_promises(&mut field.attrs));
            }
        }
        Item::Type(one) => keep_promises(&mut one.attrs),
        Item::Fn(one) => {
            keep_promises(&mut one.attrs);
            *one.block = empty();
        }
        Item::Impl(one) => {
            keep_promises(&mut one.attrs);
            let is_inherent = one.trait_.is_none();
            one.items.retain_mut(|item| match item {
                ImplItem::Fn(method) if is_inherent && is_public(&method.vis, &method.attrs) => {
                    keep_promises(&mut method.attrs);
                    method.block = empty();
                    true
                }
                ImplItem::Type(_) => true,
                _ => false,
            });
            if is_inherent && one.items.is_empty() {
                return None;
            }
        }
        _ => {}
    }
    Some(item)
}

fn bare_fields(fields: &mut Fields) {
    let list = match fields {
        Fields::Named(named) => &mut named.named,
        Fields::Unnamed(unnamed) => &mut unnamed.unnamed,
        Fields::Unit => return,
    };
    let all = std::mem::take(list).into_iter();
    *list = all.filter(|field| is_public(&field.vis, &field.attrs)).collect();
    list.iter_mut().for_each(|field| keep_promises(&mut field.attrs));
}

/// Keeps the attributes on which others build.
fn keep_promises(attributes: &mut Vec<Attribute>) {
    let kept = ["derive", "must_use", "non_exhaustive", "serde"];
    attributes.retain(|one| kept.iter().any(|name| one.path().is_ident(name)));
}

fn empty() -> Block {
    syn::parse_str("{}").expect("a block")
}

/// The sources of a crate, in a fixed order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let mut entries: Vec<PathBuf> = entries.collect();
    entries.sort();
    let nested = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    let files = entries.into_iter().flat_map(nested);
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

fn parse(file: &Path) -> File {
    let text = fs::read_to_string(file).expect("a source");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
