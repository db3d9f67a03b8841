//! The `longshore-cluster` program: `longshore`, with clusters.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore_cluster::main()
}
