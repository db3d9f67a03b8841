//! `longshore plugin new KIND NAME`: a crate that builds, tests and runs as it is. It brings the SDK
//! of this very program along, so that both speak the same contract.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use include_dir::{Dir, include_dir};
use longshore_model::error::{Error, Result};
use strum::IntoStaticStr;
use toml::{Table, Value};

use super::show;

static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Where the SDK takes its versions from.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// The folder of the SDK in a new crate.
const BROUGHT: &str = "longshore";

#[derive(Args)]
pub(super) struct NewArgs {
    /// What it does
    kind: NewKind,
    /// Its name: lower case letters, digits and `-`
    name: String,
    /// Where to make it [default: a folder of its name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The SDK's folder, in a copy of Longshore's source [default: the crate brings its own]
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
enum NewKind {
    /// Reads rows from a source
    Connector,
    /// Changes rows on their way
    Transform,
    /// Writes rows to a target that is not files
    Sink,
}

pub(super) fn new(args: &NewArgs) -> Result<()> {
    check_name(&args.name)?;
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    if folder.exists() {
        return Err(Error::config(format!("{} is already there", folder.display()))
            .with_hint("choose another name, or another folder with --path"));
    }
    let sdk = match &args.sdk {
        Some(sdk) => fs::canonicalize(sdk)
            .map_err(|error| {
                Error::config(format!("--sdk {}: {error}", sdk.display()))
                    .with_hint("name the folder `sdk` of Longshore's source")
            })?
            .display()
            .to_string(),
        None => {
            bring_sdk(&folder)?;
            format!("{BROUGHT}/sdk")
        }
    };
    let words =
        [("{{name}}", args.name.clone()), ("{{Type}}", type_name(&args.name)), ("{{sdk}}", sdk)];
    let kind: &str = args.kind.into();
    for file in files(&TEMPLATES, kind) {
        let text = String::from_utf8_lossy(file.contents());
        let text = words.iter().fold(text.into_owned(), |text, (word, by)| text.replace(word, by));
        let inner = file.path().strip_prefix(kind).unwrap_or(file.path());
        // Cargo takes a folder with a Cargo.toml for a crate, templates too.
        let inner = inner.with_file_name(match inner.file_name().and_then(|name| name.to_str()) {
            Some("Cargo.toml.in") => "Cargo.toml",
            Some(name) => name,
            None => continue,
        });
        write(&folder.join(inner), &text)?;
    }
    show::answer(&format!(
        "{} {} is in {}; next:\n  cd {}\n  cargo test\n  longshore plugin build --out plugins .\n  \
         longshore plugin check plugins/{}.wasm --with '{}'",
        kind,
        args.name,
        folder.display(),
        folder.display(),
        args.name,
        example_config(args.kind, &args.name)
    ));
    Ok(())
}

/// A config that the template takes.
fn example_config(kind: NewKind, name: &str) -> String {
    match kind {
        NewKind::Connector | NewKind::Sink => format!("{{\"url\": \"{name}:\"}}"),
        NewKind::Transform => "{\"columns\": [\"text\"]}".to_owned(),
    }
}

fn check_name(name: &str) -> Result<()> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        return Err(Error::config(format!("`{name}` cannot be a plugin's name"))
            .with_hint("begin with a lower case letter; then lower case letters, digits and `-`"));
    }
    Ok(())
}

/// `my-source` becomes `MySource`.
fn type_name(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(upper).collect()
}

/// The SDK and the contract, as this program has them.
fn bring_sdk(folder: &Path) -> Result<()> {
    for file in files(&WIT, "") {
        let path = folder.join(BROUGHT).join("wit").join(file.path());
        write(&path, &String::from_utf8_lossy(file.contents()))?;
    }
    for file in files(&SDK, "") {
        let path = folder.join(BROUGHT).join("sdk").join(file.path());
        let text = String::from_utf8_lossy(file.contents());
        if file.path().ends_with("Cargo.toml") {
            write(&path, &standalone(&text)?)?
        } else {
            write(&path, &text)?
        }
    }
    Ok(())
}

/// A crate's Cargo.toml without its workspace: what it inherits is written out.
fn standalone(text: &str) -> Result<String> {
    let fault = |error: String| Error::internal(format!("the SDK's Cargo.toml: {error}"));
    let mut own: Table = toml::from_str(text).map_err(|error| fault(error.to_string()))?;
    let workspace: Table = toml::from_str(WORKSPACE).map_err(|error| fault(error.to_string()))?;
    for (section, of) in [("package", "package"), ("dependencies", "dependencies")] {
        let given = workspace["workspace"].get(of).and_then(Value::as_table);
        let Some(entries) = own.get_mut(section).and_then(Value::as_table_mut) else { continue };
        for (key, entry) in entries.iter_mut() {
            if entry.get("workspace").is_some() {
                let inherited = given.and_then(|given| given.get(key));
                *entry = inherited
                    .ok_or_else(|| fault(format!("`{key}` is inherited from nowhere")))?
                    .clone();
            }
        }
    }
    // Its own lints are for those who develop it.
    own.remove("lints");
    toml::to_string(&own).map_err(|error| fault(error.to_string()))
}

fn files<'a>(folder: &'a Dir<'a>, inner: &str) -> Vec<&'a include_dir::File<'a>> {
    let folder = if inner.is_empty() { Some(folder) } else { folder.get_dir(inner) };
    let mut files = Vec::new();
    let mut folders: Vec<&Dir<'_>> = folder.into_iter().collect();
    while let Some(next) = folders.pop() {
        files.extend(next.files());
        folders.extend(next.dirs());
    }
    files
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
        .and_then(|()| fs::write(path, text));
    written.map_err(|error| Error::io(format!("writing {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_type() {
        assert_eq!(type_name("my-source2"), "MySource2");
        assert!(
            check_name("My").is_err() && check_name("../x").is_err() && check_name("").is_err()
        );
    }

    #[test]
    fn the_sdk_stands_without_its_workspace() {
        let sdk = SDK.get_file("Cargo.toml").unwrap().contents_utf8().unwrap();
        let alone = standalone(sdk).unwrap();
        assert!(!alone.contains("workspace"), "{alone}");
        assert!(alone.contains("wit-bindgen"));
    }
}
