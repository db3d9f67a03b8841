//! `longshore docs DIR`: man pages and completions, for packages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use longshore_model::error::{Error, Result};

use super::{Cli, show};

#[derive(Args)]
pub(super) struct DocsArgs {
    /// The folder to write `man` and `completions` into
    folder: PathBuf,
}

pub(super) fn docs(args: &DocsArgs) -> Result<()> {
    write(&args.folder)
        .map_err(|error| Error::io(format!("writing {}", args.folder.display()), error))?;
    show::answer(&format!("{}: man, completions", args.folder.display()));
    Ok(())
}

fn write(folder: &Path) -> std::io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut Cli::command(), "longshore", &completions)?;
    }
    Ok(())
}
