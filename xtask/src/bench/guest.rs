//! The machine of a benchmark: an image that stays, with the benchmark's own files in its initramfs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vmtest::Image;

use crate::failure::{Context, Failure, Result};
use crate::{images, process};

/// Returns an image, up to date, in a folder where a later build of it does not take it away.
pub(crate) fn image(name: &str) -> Result<Image> {
    images::ensure(&[name])?;
    let built = Image::named(name).context(|| format!("no image {name}"))?;
    let kept = super::folder().join("images").join(name);
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept).context(|| format!("cannot make {}", kept.display()))?;
    for file in [built.kernel(), built.initrd(), built.root()] {
        let to = kept.join(file.file_name().unwrap_or_default());
        fs::hard_link(&file, &to)
            .or_else(|_| fs::copy(&file, &to).map(drop))
            .context(|| format!("cannot keep {}", file.display()))?;
    }
    fs::write(kept.join("cmdline"), built.cmdline())
        .context(|| format!("cannot write into {}", kept.display()))?;
    Image::at(&kept).context(|| format!("no image at {}", kept.display()))
}

/// Makes an initramfs that holds the image's own and, in `/bench`, `files`; also the libraries of those.
///
/// The kernel unpacks archives that follow one another.
pub(crate) fn initramfs(image: &Image, files: &[(&str, &Path)]) -> Result<PathBuf> {
    let tree = super::folder().join("initramfs");
    let _ = fs::remove_dir_all(&tree);
    for (name, file) in files {
        install(file, &tree.join("bench").join(name))?;
        for library in libraries(file) {
            // The image has a merged /usr: its /lib is a link, which an archive must not replace.
            let below = library.strip_prefix("/usr").or_else(|_| library.strip_prefix("/"));
            install(&library, &tree.join("usr").join(below.unwrap_or(&library)))?;
        }
    }
    let script = "cd \"$1\" && { cat \"$2\"; find . -mindepth 1 | cpio --quiet --create --format=newc; } > \"$3\"";
    let made = super::folder().join("initrd.img");
    let arguments = [&tree, &image.initrd(), &made];
    process::output(Command::new("sh").args(["-ec", script, "sh"]).args(arguments))?;
    Ok(made)
}

/// Compiles `benches/clock.rs`, static.
pub(crate) fn clock() -> Result<PathBuf> {
    let made = super::folder().join("clock");
    let folder = super::folder();
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "-O", "-C", "panic=abort", "-C", "strip=symbols"]);
    rustc.args(["-C", "target-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu"]);
    process::run(rustc.arg(super::sources().join("clock.rs")).arg("-o").arg(&made))?;
    Ok(made)
}

fn install(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, to))
        .map(drop)
        .context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Returns the libraries of a program; a script or a static program has none.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = process::output(Command::new("ldd").arg(program)).unwrap_or_default();
    let paths = listed.lines().filter_map(|line| line.split_once("=> ")?.1.split(' ').next());
    paths.filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

/// Returns the text after `key` in the first line of `output` that begins with it.
pub(crate) fn value<'a>(output: &'a str, key: &str) -> Result<&'a str> {
    output
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .map(str::trim)
        .ok_or_else(|| Failure::new(format!("the guest did not say `{key} …` but:\n{output}")))
}

/// Returns the number after `key`.
pub(crate) fn number(output: &str, key: &str) -> Result<f64> {
    let text = value(output, key)?;
    text.parse().context(|| format!("`{key} {text}` from the guest is no number"))
}
