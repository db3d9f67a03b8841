//! Stamping: a component gets a section with what it says that it is, so that a folder of plugins can be
//! looked through without compiling any.

use longshore_model::error::Result;
use longshore_sandbox::Sandbox;
use sha2::{Digest, Sha256};
use wasm_encoder::{ComponentSection, CustomSection};

use super::info;
use super::stamp::{INFO_SECTION, Stamp};

/// Compiles a new component, asks it what it is, and gives it with its stamp. It need not be compiled again
/// on this machine. Call it where blocking is allowed.
pub async fn stamp(sandbox: &Sandbox, name: &str, mut component: Vec<u8>) -> Result<Vec<u8>> {
    let Stamp { kind, contract, .. } = Stamp::read(&component)?;
    let compiled = sandbox.compile_new(&component)?;
    let info = kind.describe(&compiled, contract, name).await?;
    info::check(&info)?;
    let text = serde_json::to_vec(&info)?;
    let section = CustomSection { name: INFO_SECTION.into(), data: text.into() };
    section.append_to_component(&mut component);
    let digest = hex::encode(Sha256::digest(&component));
    sandbox.keep(&digest, &compiled, &info);
    Ok(component)
}
