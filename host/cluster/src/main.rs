//! The `longshore-cluster` program: `longshore`, with clusters.

fn main() {
    longshore_cluster::main()
}
