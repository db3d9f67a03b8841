//! `longshore init`: a commented job file, by a few questions or as an example. Each kind of source is a file in
//! `examples`.

mod questions;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use longshore_model::config::{Job, Policy};
use longshore_model::error::Result;
use strum::{IntoStaticStr, VariantArray};

use super::{new_file, show};
use questions::Answers;

#[derive(Args)]
pub(super) struct InitArgs {
    /// The file to write, in YAML; `-` prints it
    #[arg(default_value = "job.yaml")]
    file: PathBuf,
    /// The kind of source: an example of it is written, without questions
    #[arg(long, value_name = "SOURCE")]
    example: Option<Example>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Example {
    /// Files: Parquet, CSV, JSON and Arrow
    Files,
    /// Hive, and Spark's Thrift Server
    Hive,
    /// Impala
    Impala,
    /// Whatever has an ODBC driver
    Odbc,
    /// PostgreSQL
    Postgres,
    /// Generated tables, without a database
    Tpch,
}

impl Example {
    fn name(self) -> &'static str {
        self.into()
    }

    /// The job, with its comments.
    fn text(self) -> &'static str {
        match self {
            Self::Files => include_str!("examples/files.yaml"),
            Self::Hive => include_str!("examples/hive.yaml"),
            Self::Impala => include_str!("examples/impala.yaml"),
            Self::Odbc => include_str!("examples/odbc.yaml"),
            Self::Postgres => include_str!("examples/postgres.yaml"),
            Self::Tpch => include_str!("examples/tpch.yaml"),
        }
    }
}

pub(super) fn init(args: &InitArgs) -> Result<()> {
    let is_printed = args.file == Path::new("-");
    if !is_printed {
        new_file::check_is_yaml(&args.file)?;
        new_file::check(&args.file, args.force)?;
    }
    let text = match args.example {
        Some(example) => example.text().to_owned(),
        None => by_questions()?,
    };
    let text = text.replace("FILE ", &format!("{} ", args.file.display()));
    let text = text.replace("FILE\n", &format!("{}\n", args.file.display()));
    if is_printed {
        show::answer(&text);
        return Ok(());
    }
    new_file::write(&args.file, &text, args.force)?;
    let file = args.file.display();
    show::answer(&format!(
        "{file}: edit it, then `longshore validate {file}` and `longshore run {file}`"
    ));
    Ok(())
}

/// Asks until the answers make a job.
fn by_questions() -> Result<String> {
    let mut answers = Answers::ask()?;
    loop {
        let text = answers.to_yaml();
        // What was typed can be no job: it is told now, and not when the job runs.
        let job = Job::of_command(&text, &Policy::default());
        match job.and_then(|_| answers.check_secrets()) {
            Ok(_) => return Ok(text),
            Err(error) => answers = answers.ask_again(&error)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::config::Arguments;

    use super::*;

    #[test]
    fn every_example_is_a_job() {
        for example in Example::VARIANTS {
            let (text, here) = (example.text(), Path::new("/"));
            let job = Job::of_text(text, "job.yaml", here, &Arguments::none(), &Policy::default());
            job.unwrap_or_else(|error| panic!("{}: {error}", example.name()));
        }
    }
}
