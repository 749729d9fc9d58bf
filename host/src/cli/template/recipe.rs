//! A built image: a folder with `root.img`, `vmlinuz`, `initrd.img` and `cmdline`, as `cargo xtask images` makes them.

use ebbtide::{
    Error, Result,
    error::{Refusal, RefusalKind},
    vm::{NewTemplate, RootSource},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Returns the template that the image `name` makes.
///
/// # Errors
/// There is no such folder, or a file is missing in it.
pub(super) fn read(name: &Path) -> Result<NewTemplate> {
    let dir = find(name)?;
    let file = |name: &str| {
        let path = dir.join(name);
        if path.is_file() {
            return Ok(path);
        }
        let text = format!("{} is no built image: it has no {name}", dir.display());
        Err(Refusal::new(RefusalKind::Missing, text)
            .hint("wanted are root.img, vmlinuz, initrd.img and cmdline"))
    };
    let mut new = NewTemplate::new(RootSource::Image(file("root.img")?));
    new.kernel = Some(file("vmlinuz")?);
    new.initrd = Some(file("initrd.img")?);
    let path = file("cmdline")?;
    let cmdline =
        fs::read_to_string(&path).map_err(Error::doing(format!("read {}", path.display())))?;
    new.engine.cmdline = Some(cmdline.trim().to_owned());
    Ok(new)
}

/// Returns the folder: a path, or a name below `EBBTIDE_IMAGES`.
fn find(name: &Path) -> Result<PathBuf> {
    let images = env::var_os("EBBTIDE_IMAGES").filter(|images| !images.is_empty());
    let below = images.as_ref().map(|images| Path::new(images).join(name));
    let places: Vec<PathBuf> = below.into_iter().chain([name.to_path_buf()]).collect();
    if let Some(dir) = places.iter().find(|dir| dir.is_dir()) {
        return Ok(dir.clone());
    }
    let looked: Vec<String> = places.iter().map(|dir| dir.display().to_string()).collect();
    let text = format!(
        "there is no built image {}: looked for the folder {}",
        name.display(),
        looked.join(", then ")
    );
    let refusal = Refusal::new(RefusalKind::Missing, text);
    Err(match images {
        Some(_) => refusal.hint("'cargo xtask images' builds them"),
        None => refusal.hint("set EBBTIDE_IMAGES to the folder of built images, or give a path"),
    }
    .into())
}
