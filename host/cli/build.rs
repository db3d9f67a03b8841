//! Makes the program smaller when it is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // LLD, the compiler's own linker there.
    if std::env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu") {
        // Generic functions that became the same code are kept once.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        // A tenth of the place for addresses that the loader adjusts; glibc 2.36 and later understand it.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
