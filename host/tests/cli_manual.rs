//! The manual page of the host's program, against the definition of its command line.

use std::{env, fs, path::Path, process::Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebbtide");

#[test]
fn the_manual_page_is_what_the_command_line_says() {
    let output = Command::new(PROGRAM).arg("manual").output().expect(PROGRAM);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/ebbtide.1");
    if env::var_os("EBBTIDE_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, &said).expect("man/ebbtide.1");
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == said, "man/ebbtide.1 is stale: `ebbtide manual > man/ebbtide.1` writes it");
}

#[test]
fn completions_of_every_shell_name_a_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = Command::new(PROGRAM).args(["completions", shell]).output().expect(PROGRAM);
        assert!(output.status.success(), "{shell}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("completions"), "{shell}");
    }
}
