//! What the standard library costs a program that does nothing.

fn main() {}
