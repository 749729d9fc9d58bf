//! Tasks of the repository: `cargo xtask VERB`.

mod bench;
mod check;
mod demo;
mod failure;
mod images;
mod initramfs;
mod install;
mod process;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use failure::{Failure, Result};

const USAGE: &str = "\
usage: cargo xtask VERB

  demo                            machines that share a Debian: what they forget, what they keep, and its versions
  test [--tier pure|root|vm] [--fuzz-seconds N] [FILTER]
                                  run the tests, all without a tier; FILTER is part of their names; the tier `root`
                                  mounts images of btrfs, XFS and ext4 (root and loop devices), `vm` boots machines
  check                           formatting, lints, documentation, licences, scripts
  setup                           install the system packages that the tasks need
  images [NAME…] [--force]        build the virtual machine images (all without a NAME)
  images --list                   say which images there are
  install --root DIR [--binary FILE] [--host]
                                  install the guest, or with --host the host's program, below DIR (`/` is this system)
  initramfs --kernel VERSION [--modules-dir DIR] [--add NAME,…] [--conf FILE] [--binary FILE] [--output FILE]
            [--compress zstd|gzip|none]
                                  write an initramfs of the guest as its /init and the modules of a kernel, nothing else;
                                  DIR is /lib/modules, FILEs are the repository's init.conf, the guest built now, and
                                  ebbtide-initramfs-VERSION.img; NAMEs are loaded at every boot; zstd where there is one
  bench [root|boot|mounts|size|chunk|host|cow|dm|snapshots|disposables|all] [--rounds N]
                                  measure, against a script, plain clones, goals and the raw device; `host`, `cow`, `dm`
                                  and `snapshots` as root
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure::report(&failure);
            if failure.is_usage() {
                eprint!("\n{USAGE}");
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((verb, rest)) = args.split_first() else {
        return Err(Failure::usage("which verb?"));
    };
    if rest.iter().any(|word| matches!(word.as_str(), "--help" | "-h")) {
        print!("{USAGE}");
        return Ok(());
    }
    match verb.as_str() {
        "setup" => setup::main(rest),
        "install" => install::main(rest),
        "images" => images::main(rest),
        "initramfs" => initramfs::main(rest),
        "bench" => bench::main(rest),
        "demo" => demo::main(rest),
        "test" => test::main(rest),
        "check" => check::main(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(Failure::usage(format!("there is no verb `{other}`"))),
    }
}
