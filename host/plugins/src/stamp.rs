//! A component's stamp: what its outside says, read before anything of it is compiled or run. The names
//! of its exports tell its kind and the version of the contract; a section that `longshore plugin build`
//! writes tells what it says that it is.

use longshore_model::error::{Error, Result};
use longshore_sandbox::{ContractVersion, PluginInfo};
use wasmparser::{Encoding, Parser, Payload};

use super::kind::PluginKind;

/// The custom section with a plugin's description, as JSON.
pub(super) const INFO_SECTION: &str = "longshore:plugin-info";

const PACKAGE: &str = "longshore:plugin/";

const ODBC: &str = "longshore:plugin/odbc@";
const KERBEROS: &str = "longshore:plugin/kerberos@";

/// The facts that a component's file tells without being compiled.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Which kind of plugin it is.
    pub kind: PluginKind,
    /// The version of the contract that it was built for.
    pub contract: ContractVersion,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// What it says that it is, if that was written into it when it was built. Whoever runs the component
    /// must ask it, and compare.
    pub info: Option<PluginInfo>,
}

impl Stamp {
    /// Reads the stamp; says in words why a file is not a plugin for this host.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let Outside { imports, exports, info } = Outside::read(bytes)?;
        let exported = exports.iter().find_map(|name| {
            let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
            Some((PluginKind::of_interface(interface)?, version))
        });
        let Some((kind, version)) = exported else {
            return Err(Error::config(
                "a component, but not a plugin: it exports no interface of longshore:plugin",
            )
            .with_hint("build it with longshore's SDK: `longshore plugin build`"));
        };
        let contract = ContractVersion::of(version).ok_or_else(|| unknown_contract(version))?;
        Ok(Self { kind, contract, imports, info })
    }

    /// Whether it imports ODBC.
    pub fn asks_for_odbc(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with(ODBC))
    }

    /// Whether it imports logins by Kerberos.
    pub fn asks_for_kerberos(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with(KERBEROS))
    }
}

fn unknown_contract(version: &str) -> Error {
    let [current, previous] = ContractVersion::ALL.map(ContractVersion::name);
    let built = series(version);
    Error::config(format!("built for {built}, this host speaks {current} and {previous}"))
        .with_hint(format!("rebuild it with sdk {current}"))
}

/// The part of a version that tells whether it is compatible: `0.7` of `0.7.2`, `1` of `1.4.0`.
fn series(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        _ => version.to_owned(),
    }
}

/// A component's own imports, exports and sections, not those of what is inside it.
#[derive(Default)]
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
    info: Option<PluginInfo>,
}

impl Outside {
    fn read(bytes: &[u8]) -> Result<Self> {
        let broken = |error: wasmparser::BinaryReaderError| {
            Error::config(format!("not WebAssembly, or cut off: {}", error.message()))
                .with_hint("copy the file again, or build it again")
        };
        let mut outside = Self::default();
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
                        outside.imports.push(import.map_err(broken)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        outside.exports.push(export.map_err(broken)?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if depth == 1 && section.name() == INFO_SECTION => {
                    outside.set_info(section.data())?;
                }
                _ => {}
            }
        }
        Ok(outside)
    }

    fn set_info(&mut self, section: &[u8]) -> Result<()> {
        let faulty = |what: String| {
            Error::config(format!("its section `{INFO_SECTION}` {what}"))
                .with_hint("build it again with `longshore plugin build`")
        };
        if self.info.is_some() {
            return Err(faulty("is there twice".to_owned()));
        }
        let info = serde_json::from_slice(section);
        self.info = Some(info.map_err(|error| faulty(format!("cannot be read: {error}")))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_contract_is_explained_in_words() {
        let error = unknown_contract("0.1.0");
        assert_eq!(error.to_string(), "built for 0.1, this host speaks 0.6 and 0.5");
        assert_eq!(error.hint(), Some("rebuild it with sdk 0.6"));
        assert!(unknown_contract("1.4.0").to_string().starts_with("built for 1, "));
    }

    #[test]
    fn the_version_of_the_project_is_that_of_the_contract() {
        assert!(env!("CARGO_PKG_VERSION").starts_with(ContractVersion::CURRENT.name()));
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        let says = |bytes: &[u8]| Stamp::read(bytes).unwrap_err().to_string();
        assert!(says(b"#!/bin/sh").starts_with("not WebAssembly"));
        assert!(says(b"").starts_with("not WebAssembly"));
        assert_eq!(says(b"\0asm\x01\0\0\0"), "a core module, not a component");
        assert!(says(b"\0asm\x0d\0\x01\0").starts_with("a component, but not a plugin"));
    }

    #[test]
    fn a_section_that_cannot_be_read_or_is_there_twice_is_told() {
        let component = |sections: &[&[u8]]| {
            let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
            for data in sections {
                let name = INFO_SECTION.as_bytes();
                let length = u8::try_from(1 + name.len() + data.len()).unwrap();
                bytes.extend([0, length | 0x80, length >> 7, u8::try_from(name.len()).unwrap()]);
                bytes.extend([name, data].concat());
            }
            Stamp::read(&bytes).unwrap_err().to_string()
        };
        assert!(component(&[b"{"]).contains("cannot be read"), "{}", component(&[b"{"]));
        let info = br#"{"name":"x"}"#;
        assert!(component(&[info]).contains("cannot be read"), "{}", component(&[info]));
    }
}
