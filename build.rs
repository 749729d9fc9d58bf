//! Linking of the guest's binary.

fn main() {
    // Packs the relative relocations of a position-independent program, a twentieth of its size. Needs
    // glibc 2.36 (Debian 12, Fedora 37) at run time when it is linked dynamically; see docs/adr/0001.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
