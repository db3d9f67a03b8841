//! The `longshore` program.

fn main() {
    longshore_cli::commands::main()
}
