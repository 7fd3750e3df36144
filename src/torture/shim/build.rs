//! Builds the preload library beside it, which becomes part of the binary: `fanfare torture` then
//! needs no compiler where it runs.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/torture/shim/power_cut.rs";

fn main() {
    println!("cargo:rerun-if-changed={SOURCE}");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let library = PathBuf::from(variable("OUT_DIR")).join("power_cut.so");
    // Only the dynamic loader of glibc is known to take it.
    if variable("CARGO_CFG_TARGET_OS") != "linux" || variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        fs::write(&library, []).expect("OUT_DIR can be written");
        return;
    }
    let status = Command::new(variable("RUSTC"))
        .args(["--edition", "2024", "--crate-name", "power_cut", "--crate-type", "cdylib"])
        .args(["-O", "-C", "panic=abort", "-C", "strip=symbols", "--target", &variable("TARGET")])
        .arg("-o")
        .arg(&library)
        .arg(SOURCE)
        .status()
        .expect("cargo names a compiler that runs");
    assert!(status.success(), "the preload library compiles");
}
