//! `longshore plugin build`: a plugin's crate becomes a component, whichever toolchain there is.
//!
//! Where rustup has the target `wasm32-unknown-unknown`, its cargo builds. Where it cannot be had,
//! Debian's `rustc-web`, `cargo-web`, `rust-web-src` and `lld-19` build std from source.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::Metadata;
use clap::Args;
use longshore_model::atomic_file;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::format::human_bytes;
use longshore_plugins::stamp;
use wit_component::ComponentEncoder;

use super::{App, show};

const TARGET: &str = "wasm32-unknown-unknown";

/// Cargo's profile for plugins: small, and optimised as a whole, since rows pass everywhere. A workspace
/// may say more about it. Nothing is taken over from its `release`: crates of many workspaces can then
/// share what they are built of.
const PROFILE: &str = "plugin";
const PROFILE_SETTINGS: [&str; 9] = [
    "inherits = 'dev'",
    "debug = false",
    "debug-assertions = false",
    "overflow-checks = false",
    "incremental = false",
    "opt-level = 3",
    "lto = 'fat'",
    "codegen-units = 1",
    "panic = 'abort'",
];

/// Debian's compiler and its linker for the target.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-19";

/// SIMD is on by default; entropy comes from the host; names of functions are not kept, which the profile
/// cannot say for crates that have settings of their own.
const RUSTFLAGS: &str =
    r#"-Ctarget-feature=+simd128 --cfg getrandom_backend="custom" -Cstrip=symbols"#;

#[derive(Args)]
pub(super) struct BuildArgs {
    /// The plugins' crates; or core modules of another language's compiler, which only have to be made
    /// components
    #[arg(default_value = ".", value_name = "CRATE|MODULE")]
    crates: Vec<PathBuf>,
    /// The folder for the components [default: the folder that cargo builds in]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder that cargo builds in [default: target/plugins of the workspace]
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Refuse to change Cargo.lock
    #[arg(long)]
    locked: bool,
}

/// Builds components, and stamps them with what they say that they are. They are compiled for it: no
/// command has to do so again on this machine.
pub(super) fn build(app: &App, args: &BuildArgs) -> Result<()> {
    let sandbox = app.sandbox()?;
    for Module { path, name, folder } in modules(args)? {
        let component = app.io.block_on(stamp(&sandbox, &name, componentize(&path)?));
        let component = component.context(path.display().to_string())?;
        let path = args.out.clone().unwrap_or(folder).join(format!("{name}.wasm"));
        publish(&path, &component)?;
        show::answer(&format!("{} ({})", path.display(), human_bytes(component.len() as u64)));
    }
    Ok(())
}

/// A core module that is to become a component.
struct Module {
    path: PathBuf,
    /// Its plugin's name.
    name: String,
    /// Where the component goes, unless told.
    folder: PathBuf,
}

impl Module {
    /// What another language's compiler made.
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), name: stem(path), folder: PathBuf::from(".") }
    }
}

/// All modules, in the order they were asked for; crates of one workspace are built in one go.
fn modules(args: &BuildArgs) -> Result<Vec<Module>> {
    let mut workspaces: BTreeMap<PathBuf, Vec<Package>> = BTreeMap::new();
    let mut modules = Vec::new();
    for path in &args.crates {
        if path.is_file() {
            modules.push(Module::of(path));
            continue;
        }
        let package = Package::read(path, &Toolchain::find()?)?;
        let folder = package.built_in(args);
        let built = format!("{}.wasm", package.library);
        modules.push(Module {
            path: folder.join(TARGET).join(PROFILE).join(built),
            name: package.plugin_name().to_owned(),
            folder,
        });
        workspaces.entry(package.workspace.clone()).or_default().push(package);
    }
    for (workspace, packages) in workspaces {
        Toolchain::find()?.compile(&workspace, &packages, args)?;
    }
    Ok(modules)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

enum Toolchain {
    /// rustup's, with the target installed.
    Rustup,
    /// Debian's, which builds std too.
    Debian,
}

impl Toolchain {
    fn find() -> Result<Self> {
        if target_is_installed() {
            return Ok(Self::Rustup);
        }
        let have =
            [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_LINKER].iter().all(|tool| Path::new(tool).exists());
        if !have {
            return Err(Error::config(format!("no Rust toolchain for {TARGET}")).with_hint(format!(
                "`rustup target add {TARGET}`, or on Debian `apt-get install rustc-web cargo-web rust-web-src lld-19`"
            )));
        }
        Ok(Self::Debian)
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Rustup => {
                Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
            }
            Self::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
                cargo
            }
        }
    }

    fn compile(&self, workspace: &Path, packages: &[Package], args: &BuildArgs) -> Result<()> {
        let Some(first) = packages.first() else { return Ok(()) };
        let mut cargo = self.cargo();
        cargo
            .current_dir(workspace)
            .args(["build", "--profile", PROFILE, "--target", TARGET, "--target-dir"])
            .arg(absolute(&first.built_in(args))?)
            .env("RUSTFLAGS", RUSTFLAGS)
            .stdin(Stdio::null());
        for setting in PROFILE_SETTINGS {
            cargo.arg("--config").arg(format!("profile.{PROFILE}.{setting}"));
        }
        for package in packages {
            cargo.args(["--package", &package.name]);
        }
        if matches!(self, Self::Debian) {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        if args.locked {
            cargo.arg("--locked");
        }
        let status = cargo.status().map_err(|error| Error::io("running cargo", error))?;
        if !status.success() {
            let names: Vec<&str> = packages.iter().map(|one| one.name.as_str()).collect();
            return Err(Error::config(format!("{}: cargo could not build it", names.join(", ")))
                .with_hint("fix what cargo reports above"));
        }
        Ok(())
    }
}

fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    asked.is_ok_and(|answer| {
        answer.status.success()
            && Path::new(String::from_utf8_lossy(&answer.stdout).trim()).exists()
    })
}

/// The metadata of a crate, as cargo prints it.
struct Package {
    name: String,
    library: String,
    workspace: PathBuf,
    target: PathBuf,
}

impl Package {
    fn read(folder: &Path, toolchain: &Toolchain) -> Result<Self> {
        let place = folder.display();
        let asked = toolchain
            .cargo()
            .current_dir(folder)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| {
                Error::config(format!("{place}: running cargo: {error}"))
                    .with_hint("name a crate's folder")
            })?;
        let metadata: Metadata = serde_json::from_slice(&asked.stdout).map_err(|_| {
            Error::config(format!("{place}: not a crate"))
                .with_hint("name a folder with a Cargo.toml")
        })?;
        let manifest = absolute(&folder.join("Cargo.toml"))?;
        let package = metadata
            .packages
            .iter()
            .find(|package| package.manifest_path == manifest)
            .ok_or_else(|| Error::config(format!("{place}: no package of its own")))?;
        let library =
            package.targets.iter().find(|target| target.is_cdylib()).ok_or_else(|| {
                Error::config(format!("{place}: no library of type cdylib"))
                    .with_hint("add `[lib] crate-type = [\"cdylib\", \"rlib\"]` to its Cargo.toml")
            })?;
        Ok(Self {
            name: package.name.to_string(),
            library: library.name.replace('-', "_"),
            workspace: metadata.workspace_root.into(),
            target: metadata.target_directory.into(),
        })
    }

    /// The folder that cargo builds in: one for all crates of a workspace.
    fn built_in(&self, args: &BuildArgs) -> PathBuf {
        args.target_dir.clone().unwrap_or_else(|| self.target.join("plugins"))
    }

    /// `longshore-plugin-postgres` is called `postgres`.
    fn plugin_name(&self) -> &str {
        self.name.strip_prefix("longshore-plugin-").unwrap_or(&self.name)
    }
}

fn componentize(module: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(module).map_err(|error| Error::io(module.display(), error))?;
    ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| {
            Error::config(format!("{}: cannot be made a component: {error:#}", module.display()))
                .with_hint("export a plugin with one of the SDK's export macros")
        })
}

/// A half-written component is never seen under its name.
fn publish(path: &Path, component: &[u8]) -> Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        atomic_file::write(path, component)
    };
    write().map_err(|error| Error::io(format!("writing {}", path.display()), error))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|error| Error::io(path.display(), error))?;
    // `./Cargo.toml` and `Cargo.toml` are one: cargo names them without the dot.
    Ok(path.components().collect())
}
