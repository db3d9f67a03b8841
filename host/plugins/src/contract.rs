//! The contract's version: read from the names of what a component exports, before anything of it
//! is compiled or run.

use longshore_model::error::{Error, Result};
use wasmparser::{Encoding, Parser, Payload};

use super::kind::Kind;

/// The version of `wit/` that this host speaks.
pub const CONTRACT_VERSION: &str = "0.5";

const PACKAGE: &str = "longshore:plugin/";

const ODBC: &str = "longshore:plugin/odbc@";
const KERBEROS: &str = "longshore:plugin/kerberos@";

/// What a component's outside says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which kind of plugin it is.
    pub kind: Kind,
    /// The contract's full version that it was built for.
    pub version: String,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

impl Stamp {
    /// Reads the stamp; says in words why a file is not a plugin for this host.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let (imports, exports) = outside(bytes)?;
        let exported = exports.iter().find_map(|name| {
            let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
            Some((Kind::of_interface(interface)?, version.to_owned()))
        });
        let Some((kind, version)) = exported else {
            return Err(Error::config(
                "a component, but not a plugin: it exports no interface of longshore:plugin",
            )
            .with_hint("build it with longshore's SDK: `longshore plugin build`"));
        };
        let stamp = Self { kind, version, imports };
        stamp.check()?;
        Ok(stamp)
    }

    /// Whether it imports ODBC.
    pub fn asks_for_odbc(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with(ODBC))
    }

    /// Whether it imports logins by Kerberos.
    pub fn asks_for_kerberos(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with(KERBEROS))
    }

    /// Versions 0.x fit when x is the same; from 1 on, when the major version is.
    fn check(&self) -> Result<()> {
        let built = track(&self.version);
        if built == CONTRACT_VERSION {
            return Ok(());
        }
        Err(Error::config(format!("built for {built}, this host speaks {CONTRACT_VERSION}"))
            .with_hint(format!("rebuild it with sdk {CONTRACT_VERSION}")))
    }
}

fn track(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        _ => version.to_owned(),
    }
}

/// The names of a component's own imports and exports, not those of what is inside it.
fn outside(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let broken = |error: wasmparser::BinaryReaderError| {
        Error::config(format!("not WebAssembly, or cut off: {}", error.message()))
            .with_hint("copy the file again, or build it again")
    };
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Error::config("a core module, not a component")
                    .with_hint("`longshore plugin build` makes a component of it"));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(version: &str) -> Stamp {
        Stamp { kind: Kind::Connector, version: version.into(), imports: Vec::new() }
    }

    #[test]
    fn another_contract_is_explained_in_words() {
        assert!(stamp("0.5.7").check().is_ok());
        let error = stamp("0.1.0").check().unwrap_err();
        assert_eq!(error.to_string(), "built for 0.1, this host speaks 0.5");
        assert_eq!(error.hint(), Some("rebuild it with sdk 0.5"));
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        let says = |bytes: &[u8]| Stamp::read(bytes).unwrap_err().to_string();
        assert!(says(b"#!/bin/sh").starts_with("not WebAssembly"));
        assert!(says(b"").starts_with("not WebAssembly"));
        assert_eq!(says(b"\0asm\x01\0\0\0"), "a core module, not a component");
        assert!(says(b"\0asm\x0d\0\x01\0").starts_with("a component, but not a plugin"));
    }
}
