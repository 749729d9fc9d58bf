//! The tool with files, and a partition table built by the `gpt` crate through `ebbtide-format`.

use std::error::Error;
use std::fs;

use ebbtide_format::gpt_table::{Entry, Table};
use ebbtide_format::guid::{Guid, partition_type};
use ebbtide_format::units::LogicalBlock;

#[path = "files.rs"]
mod files;

fn main() -> Result<(), Box<dyn Error>> {
    files::main()?;
    let guid = Guid::from_random([7; 16]);
    let blocks = std::env::args().count() as u64 * 4096;
    let entry = Entry {
        number: 2,
        type_guid: partition_type::COW,
        guid,
        first: 2048,
        last: 4000,
        name: "cow",
    };
    let table = Table { disk: guid, block: LogicalBlock::B512, blocks, entries: vec![entry] };
    fs::write("/dev/null", table.build()?.head)?;
    Ok(())
}
