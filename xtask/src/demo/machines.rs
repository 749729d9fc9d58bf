//! The first half: a template, two machines that boot from it, what they forget and what they keep.

use std::path::Path;

use vmtest::Guest;

use super::IMAGE;
use super::host::{Host, sha256};
use super::place::Sharing;
use super::story::{Proof, Story};
use crate::failure::{Context, Result};

/// What the guests are asked before they write, after they have, and after a restart.
pub(crate) const FILE: &str = "cat /root/diary 2>&1";
const PACKAGE: &str = "dpkg-query --show --showformat '${db:Status-Status}' fdisk 2>&1";
const ROOT: &str = "findmnt --noheadings --output SOURCE,FSTYPE /";
pub(crate) const KEPT: &str = "cat /home/user/letter";
const TOOL: &str = "/usr/local/bin/greet";

/// The template's current version, in the pool.
pub(crate) const CLEAN: &str = "vm-templates/debian/root.img";

/// What the first version is known by, from here to the end.
pub(crate) struct First {
    pub(crate) checksum: String,
}

/// Makes pool, template and machines.
pub(crate) fn make(story: &mut Story, host: &Host, sharing: Sharing) -> Result<First> {
    let pool = host.pool().display().to_string();
    story.claim("A pool is a directory; a real Debian becomes a template in it.", |proof| {
        let mut create = vec!["pool", "create", &pool];
        if sharing == Sharing::Copies {
            create.push("--allow-copy");
        }
        proof.ebbtide(host, &create)?;
        proof.ebbtide(host, &["template", "create", "debian", "--from-recipe", IMAGE])?;
        proof.ebbtide(host, &["template", "list"]).map(drop)
    })?;
    story.claim(
        "Two machines boot from it, each with a disk of its own for what is kept.",
        |proof| {
            for name in ["work", "mail"] {
                proof.ebbtide(
                    host,
                    &["vm", "create", name, "--template", "debian", "--private", "512M"],
                )?;
            }
            let listed = proof.ebbtide(host, &["vm", "list"])?;
            proof.seen(
                "work and mail are listed",
                listed.contains("work") && listed.contains("mail"),
            );
            Ok(())
        },
    )?;
    Ok(First { checksum: sha256(&host.pool().join(CLEAN))? })
}

/// Starts both machines and has them write.
pub(crate) fn write(story: &mut Story, host: &Host) -> Result<(Guest, Guest)> {
    println!();
    let (work, mail) = story.part("start work and mail, wait until both are up", || {
        let guests = (host.start("work")?, host.start("mail")?);
        ready(&guests.0)?;
        ready(&guests.1)?;
        Ok(guests)
    })?;
    story.claim(
        "Their roots are one file, the template's, and neither has a copy of it.",
        |proof| {
            let listed = proof
                .shell(host, "ls -1 --inode vm-templates/debian/root.img appvms/*/root.img")?;
            let inodes: Vec<&str> =
                listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
            proof.seen(
                "three names, one inode",
                inodes.len() == 3 && inodes.iter().all(|one| *one == inodes[0]),
            );
            proof.says(("work", &work), "blockdev --getro /dev/vda", "1")?;
            proof.says(("work", &work), ROOT, "/dev/mapper/dmroot ext4")
        },
    )?;
    story.claim("Each writes where it likes: files, its name, its packages.", |proof| {
        for (name, guest) in [("work", &work), ("mail", &mail)] {
            proof.says(
                (name, guest),
                &format!("echo dear {name} > /root/diary; sync; cat /root/diary"),
                &format!("dear {name}"),
            )?;
        }
        proof.says(("work", &work), "dpkg --purge fdisk > /dev/null 2>&1; echo $?", "0")?;
        proof.says(("mail", &mail), PACKAGE, "installed")
    })?;
    story.claim(
        "Homes and /usr/local are on the disk that is kept; it was blank, and is filled.",
        |proof| {
            let guest = ("work", &work);
            proof.says(guest, "findmnt --noheadings --output SOURCE /home", "/dev/vdb[/home]")?;
            proof.says(
                guest,
                &format!("su user -c 'echo dear friend > /home/user/letter'; sync; {KEPT}"),
                "dear friend",
            )?;
            proof.says(
                guest,
                &format!(
                    "printf '#!/bin/sh\necho hello\n' > {TOOL}; chmod +x {TOOL}; sync; {TOOL}"
                ),
                "hello",
            )?;
            proof.says(
                ("mail", &mail),
                &format!("{KEPT} 2>&1"),
                "cat: /home/user/letter: No such file or directory",
            )
        },
    )?;
    story.claim("The store below a root is never taken for the root.", |proof| {
        store_is_no_root(proof, &work)
    })?;
    story.claim("The host enlarges the kept disk of a running machine, which has the room at once.", |proof| {
        let guest = ("work", &work);
        proof.show(guest, "df --output=size -h /rw | tail -n 1")?;
        proof.ebbtide(host, &["volume", "resize", "work:private", "1G"])?;
        let grown = "for i in $(seq 100); do test $(df --output=size -m /rw | tail -n 1) -gt 700 && break; sleep .1; done; \
             df --output=size -m /rw | tail -n 1";
        let size: u64 = proof.show(guest, grown)?.trim().parse().unwrap_or(0);
        proof.seen("more than 700 MiB", size > 700);
        Ok(())
    })?;
    Ok((work, mail))
}

/// Restarts `work`.
pub(crate) fn restart(story: &mut Story, host: &Host) -> Result<Guest> {
    println!();
    let work = story.part("stop work in its own way, start it again", || {
        host.must(&["stop", "work"])?;
        let guest = host.start("work")?;
        ready(&guest)?;
        Ok(guest)
    })?;
    story.claim("After a restart, all that was written to the root is gone.", |proof| {
        proof.says(("work", &work), FILE, "cat: /root/diary: No such file or directory")?;
        proof.says(("work", &work), PACKAGE, "installed")
    })?;
    story.claim("What is to be kept is there: the home and /usr/local.", |proof| {
        proof.says(("work", &work), KEPT, "dear friend")?;
        proof.says(("work", &work), TOOL, "hello")
    })?;
    Ok(work)
}

/// Waits until a guest is up.
pub(crate) fn ready(guest: &Guest) -> Result<()> {
    guest.wait_until_ready().context(|| "a machine does not come up".to_owned())
}

/// Returns the path of a file of the pool.
pub(crate) fn in_pool(host: &Host, path: &str) -> std::path::PathBuf {
    host.pool().join(Path::new(path))
}

/// The first block of the root that is written to holds its UUID and label: in the store these must not be seen.
fn store_is_no_root(proof: &mut Proof, work: &Guest) -> Result<()> {
    let guest = ("work", work);
    let uuid = proof.show(guest, "findmnt --noheadings --output UUID /")?;
    proof.says(guest, &format!("readlink --canonicalize /dev/disk/by-uuid/{uuid}"), "/dev/dm-0")?;
    let probed =
        proof.show(guest, "blkid --probe --output export /dev/vdc2 | grep -v ^PART_ENTRY_UUID")?;
    proof.seen(
        "the root's UUID for the store: never",
        !probed.contains(&uuid) && !probed.contains("ext4"),
    );
    Ok(())
}
