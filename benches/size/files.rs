//! What every tool needs: arguments, text, files and folders to read, errors with a cause.

use std::error::Error;
use std::fs;

pub fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let mut names = fs::read_dir(&path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<Vec<_>>>()?;
        names.sort();
        let text = fs::read_to_string(&names[0])?;
        println!("{path}: {} lines", text.lines().count());
    }
    Ok(())
}
