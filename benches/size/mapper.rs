//! The tool with files, and device-mapper by `ebbtide-sys`.

use std::error::Error;
use std::path::Path;

use ebbtide_sys::dm::Control;

#[path = "files.rs"]
mod files;

fn main() -> Result<(), Box<dyn Error>> {
    files::main()?;
    let control = Control::open(Path::new("/dev/mapper/control"))?;
    control.create("name", "uuid")?;
    control.load("name", 8, "snapshot", "arguments")?;
    control.resume("name")?;
    control.remove("name")?;
    Ok(())
}
