//! The second half: the template is edited while both machines run, committed, taken back; a machine is killed.

use vmtest::Guest;

use super::host::{Host, sha256};
use super::machines::{FILE, First, KEPT, in_pool, ready};
use super::story::Story;
use crate::failure::Result;

/// What the second version has.
const MESSAGE: &str = "cat /etc/motd-of-the-template 2>&1";
const NONE: &str = "cat: /etc/motd-of-the-template: No such file or directory";
const SECOND: &str = "the second version";

/// Edits the template while its machines run.
pub(crate) fn edit(story: &mut Story, host: &Host, work: &Guest, mail: &Guest) -> Result<()> {
    println!();
    story.part("start the template, write to it, stop it: that commits", || {
        let template = host.start("debian")?;
        ready(&template)?;
        let write = format!("echo {SECOND} > /etc/motd-of-the-template; sync");
        template.run(&write).map_err(|error| crate::failure::Failure::new(error.to_string()))?;
        host.must(&["stop", "debian"]).map(drop)
    })?;
    story.claim("The template has a new version, and the one before it is kept.", |proof| {
        let versions = proof.ebbtide(host, &["template", "versions", "debian"])?;
        proof.seen("two versions", versions.contains('1'));
        let listed =
            proof.shell(host, "ls -1 --inode vm-templates/debian/root.img vm-templates/debian/root.img.*@* appvms/*/root.img")?;
        let inode = |name: &str| {
            let line = listed.lines().find(|line| line.contains(name));
            line.and_then(|line| line.split_whitespace().next()).map(str::to_owned)
        };
        let kept = inode("root.img.1@");
        proof.seen(
            "the machines have the kept one",
            kept.is_some() && inode("work/root.img") == kept && inode("mail/root.img") == kept,
        );
        Ok(())
    })?;
    story.claim("Both machines run on, on the version that they were started with.", |proof| {
        proof.says(("work", work), MESSAGE, NONE)?;
        proof.says(("mail", mail), FILE, "dear mail")?;
        let listed = proof.ebbtide(host, &["vm", "list"])?;
        let outdated =
            listed.lines().filter(|line| line.contains("outdated") || line.contains("yes")).count();
        proof.seen("both are shown as outdated", outdated >= 2);
        Ok(())
    })
}

/// Restarts `work` on the new version, then on the old one again.
pub(crate) fn restart(story: &mut Story, host: &Host, mail: &Guest) -> Result<()> {
    println!();
    let work = story.part("restart work", || again(host))?;
    story.claim(
        "A restart takes the new version, with the home as it was; mail still has the old one.",
        |proof| {
            proof.says(("work", &work), MESSAGE, SECOND)?;
            proof.says(("work", &work), KEPT, "dear friend")?;
            proof.says(("mail", mail), MESSAGE, NONE)
        },
    )?;
    story.claim("The template goes back to the version before, and keeps the other.", |proof| {
        proof.ebbtide(host, &["template", "revert", "debian", "1"])?;
        proof.ebbtide(host, &["template", "versions", "debian"]).map(drop)
    })?;
    drop(work);
    println!();
    let work = story.part("restart work", || again(host))?;
    story.claim("A restart takes the version that was gone back to.", |proof| {
        proof.says(("work", &work), MESSAGE, NONE)?;
        proof.says(("work", &work), KEPT, "dear friend")
    })?;
    story.claim(
        "What would hurt a running machine is refused, and a removal waits for it.",
        |proof| {
            proof.refuses(host, &["start", "work"], "work")?;
            proof.refuses(host, &["volume", "resize", "work:private", "1M"], "1 MiB")?;
            for (name, why) in [("work", "it runs"), ("debian", "mail boots from it")] {
                let said = proof.ebbtide(host, &["vm", "remove", name])?;
                proof.seen(format!("{name} is there: {why}"), said.contains(why));
                // And it is not to go after that either.
                proof.ebbtide(host, &["vm", "set", name, "volatile=no"])?;
            }
            Ok(())
        },
    )
}

/// Kills a machine.
pub(crate) fn crash(story: &mut Story, host: &Host) -> Result<()> {
    story.claim("A machine that is killed is put in order, and what it kept is there for its next start.", |proof| {
        proof.shell(host, "kill -9 $(grep -m 1 '^pid' appvms/mail/run.toml | tr -dc 0-9)")?;
        proof.shell(host, "for i in $(seq 50); do test -e appvms/mail/run.toml || break; sleep .1; done; ls appvms/mail")?;
        proof.ebbtide(host, &["vm", "show", "mail"]).map(drop)
    })
}

/// Stops what runs, and looks at what is left.
pub(crate) fn end(story: &mut Story, host: &Host, first: &First) -> Result<()> {
    println!();
    story.part("stop work", || host.must(&["stop", "work"]).map(drop))?;
    story.claim("The first version is the same, byte by byte, and nothing is left over.", |proof| {
        let now = sha256(&in_pool(host, super::machines::CLEAN))?;
        proof.seen(format!("sha256 before  {}", first.checksum), true);
        proof.seen(format!("sha256 now     {now}"), now == first.checksum);
        proof.ebbtide(host, &["pool", "check"]).map(drop)
    })
}

fn again(host: &Host) -> Result<Guest> {
    host.must(&["stop", "work"])?;
    let guest = host.start("work")?;
    ready(&guest)?;
    Ok(guest)
}
