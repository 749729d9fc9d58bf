//! Disk images without a mount: a tree flows in, an ext4 image or a partitioned disk flows out, the same at every build.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::recipe::{FileSystem, Gpt};
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Log};

const MIB: u64 = 1 << 20;
const SECTORS_PER_MIB: u64 = MIB / 512;

/// Clock of the file system, in seconds since 1970: its superblock carries four time stamps.
const CLOCK: &str = "1700000000";

/// Makes an ext4 image with the content of `tree`, owned by those who own the tree.
pub(crate) fn ext4(recipe: &FileSystem, tree: &Path, image: &Path, log: &Log) -> Result<()> {
    let program = process::find("mke2fs").unwrap_or_else(|| "mke2fs".into());
    let extended = format!(
        "hash_seed={},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
        recipe.hash_seed
    );
    let mut make = process::as_root(program);
    make.args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-m",
        "0",
        "-U",
        &recipe.uuid,
        "-L",
        &recipe.label,
    ]);
    make.args(["-E", &extended, "-d"]).arg(tree).arg(image).arg(&recipe.size);
    log.run(make.env("E2FSPROGS_FAKE_TIME", CLOCK))
}

/// Makes a disk with a partition table and `file_system` in its last partition.
pub(crate) fn partitioned(recipe: &Gpt, file_system: &Path, disk: &Path, log: &Log) -> Result<()> {
    let cannot = || format!("cannot make {}", disk.display());
    let length = std::fs::metadata(file_system).context(cannot)?.len();
    let table = Table::of(recipe, length.div_ceil(MIB))?;
    File::create(disk).and_then(|file| file.set_len(table.disk_mib * MIB)).context(cannot)?;

    let program = process::find("sfdisk").unwrap_or_else(|| "sfdisk".into());
    let mut sfdisk = Command::new(program);
    // It waits for udev and re-reads tables only on block devices; this is a file.
    sfdisk.args(["--quiet", "--no-reread", "--no-tell-kernel"]).arg(disk);
    let mut child =
        sfdisk.stdin(Stdio::piped()).spawn().context(|| "cannot start sfdisk".to_owned())?;
    let written = child
        .stdin
        .take()
        .map(|mut pipe| std::io::Write::write_all(&mut pipe, table.script.as_bytes()));
    let status = child.wait().context(cannot)?;
    if !status.success() || !matches!(written, Some(Ok(()))) {
        return Err(Failure::new(format!("sfdisk: {status}; it was given\n{}", table.script)));
    }
    let mut copy = Command::new("dd");
    copy.arg(format!("if={}", file_system.display())).arg(format!("of={}", disk.display()));
    log.run(copy.args(["bs=1M", "conv=sparse,notrunc", &format!("seek={}", table.root_mib)]))
}

/// Where everything goes on a partitioned disk, in MiB.
struct Table {
    script: String,
    root_mib: u64,
    disk_mib: u64,
}

impl Table {
    fn of(recipe: &Gpt, root_size: u64) -> Result<Self> {
        let (root, before) = recipe
            .partitions
            .split_last()
            .ok_or_else(|| Failure::new("a partition table needs a partition for the root"))?;
        let mut script = format!("label: gpt\nlabel-id: {}\n", recipe.disk);
        let mut start = 1;
        for (partition, size) in before.iter().map(|p| (p, p.mib)).chain([(root, root_size)]) {
            script.push_str(&format!(
                "start={}, size={}, type={}, uuid={}, name=\"{}\"\n",
                start * SECTORS_PER_MIB,
                size * SECTORS_PER_MIB,
                partition.kind,
                partition.uuid,
                partition.name
            ));
            start += size;
        }
        // The backup table lies in the last MiB.
        Ok(Table { script, root_mib: start - root_size, disk_mib: start + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::recipe::Partition;

    #[test]
    fn root_is_the_last_partition_and_leaves_room_for_both_tables() {
        let partition = |name: &str, mib| Partition {
            name: name.to_owned(),
            kind: "T".to_owned(),
            uuid: "U".to_owned(),
            mib,
        };
        let recipe = Gpt {
            disk: "D".to_owned(),
            partitions: vec![partition("boot", 2), partition("root", 0)],
        };
        let table = Table::of(&recipe, 10).unwrap();
        assert_eq!((table.root_mib, table.disk_mib), (1 + 2, 1 + 2 + 10 + 1));
        assert!(table.script.contains("start=6144, size=20480, type=T, uuid=U, name=\"root\""));
    }
}
