//! Machines that go on from where others stood.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use ebbtide::{
    engine::qemu,
    vm::{self, Snapshot},
};
use machines::{
    Host,
    asked::{LIMIT, address, ask, generation, pool, run},
    end, is_gone, qemu_is_there,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use vmtest::{Guest, Image, Result, require};

/// Takes a savestate, and returns its UUID.
fn save(host: &Host, name: &str) -> String {
    host.must(&["savestate", "create", name]).out.trim().to_owned()
}

/// Starts a VM from somewhere else than its beginning, with its command channel.
fn start_from(host: &Host, name: &str, id: &str) -> Guest {
    let socket = host.beside(&format!("agent-{name}"));
    let arguments = Guest::arguments(&socket);
    let mut words = vec!["start", name, "--from", id, "--"];
    words.extend(arguments.iter().map(String::as_str));
    host.must(&words);
    Guest::resumed(&socket).unwrap()
}

fn snapshot(host: &Host, name: &str, label: &str, memory: bool) -> Snapshot {
    let name = name.parse().unwrap();
    let uuid =
        qemu::snapshot(&name, &run(host, name.as_str()), Some(label), memory, &mut |_| {}).unwrap();
    let (all, _) = vm::snapshots(&pool(host)).unwrap();
    all.into_iter().find(|snapshot| snapshot.uuid == uuid).unwrap()
}

/// Returns the number in the first sector of an image.
fn count(image: &Path) -> u64 {
    let bytes = fs::read(image).unwrap();
    let text = String::from_utf8_lossy(&bytes[..512]).into_owned();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Counts on both disks, the private one first, and notes when one has not the number that was written last.
const COUNTS: &str = "\
    put() { printf '%-512s' $i | dd of=$1 bs=512 conv=notrunc oflag=direct 2>/dev/null; }
    is() { dd if=$1 bs=512 count=1 iflag=direct 2>/dev/null | grep -q \"^$2 \"; }
    i=0; put /dev/vdb; put /dev/vdc
    (while test ! -e /stop; do
        i=$((i + 1))
        for disk in /dev/vdb /dev/vdc; do is $disk $((i - 1)) || echo $disk $i >> /torn; put $disk; done
    done) </dev/null >/dev/null 2>&1 &
    sleep 1";
const MARK: &str = "of=/dev/vdb bs=512 seek=100 conv=fsync 2>/dev/null";
const READ_MARK: &str = "dd if=/dev/vdb bs=512 skip=100 count=1 2>/dev/null | head -n 1";

#[test]
fn machines_that_go_on_from_one_savestate_are_two_machines() -> Result<()> {
    require!(qemu_is_there());
    let image = require!(Image::named("stage"));
    let host = Host::new().booting(&image, &["a", "b", "c", "d"]);
    for name in ["a", "b", "c", "d"] {
        host.must(&["vm", "set", name, "network=user", "memory=256M"]);
    }
    let a = host.start("a");
    a.run("dd if=/dev/random bs=1 count=1 of=/dev/null 2>/dev/null; echo remembered > /memory")?;
    a.run(&format!("echo before | dd {MARK}"))?;
    let card = "cat /sys/bus/pci/devices/0000:01:00.0/vendor";
    assert_eq!(a.run(card)?, "0x1af4");

    let id = save(&host, "a");
    assert_eq!(a.run("cat /memory")?, "remembered");
    assert_eq!(a.run(&format!("sleep 0.2; {card}"))?, "0x1af4", "it has its card again");
    a.run(&format!("echo a | dd {MARK}"))?;

    let (b, c) = (start_from(&host, "b", &id), start_from(&host, "c", &id));
    let mut told = Vec::new();
    for guest in [&b, &c] {
        assert_eq!(guest.run("cat /memory")?, "remembered");
        assert_eq!(guest.run(READ_MARK)?, "before");
        assert!(guest.run("dmesg")?.contains("crng reseeded due to virtual machine fork"));
        told.push(guest.run("head -c 16 /dev/urandom | od -A n -t x1")?);
    }
    assert_ne!(told[0], told[1]);
    assert!(!a.run("dmesg")?.contains("virtual machine fork"));
    for of in [address, generation] {
        let (a, b, c) = (of(&host, "a"), of(&host, "b"), of(&host, "c"));
        assert!(a != b && b != c && a != c, "{a} {b} {c}");
    }
    b.run(&format!("echo b | dd {MARK}"))?;
    c.run(&format!("echo c | dd {MARK}"))?;
    for (guest, has) in [(&a, "a"), (&b, "b"), (&c, "c")] {
        guest.run("echo 3 > /proc/sys/vm/drop_caches")?;
        assert_eq!(guest.run(READ_MARK)?, has);
    }
    host.must(&["savestate", "remove", &id[..8]]);
    assert_eq!(
        b.run("dd if=/dev/vda of=/dev/null bs=1M 2>&1 && echo whole")?.lines().last(),
        Some("whole")
    );

    a.run(COUNTS)?;
    let before = snapshot(&host, "a", "running", false);
    assert_eq!(before.disks.len(), 1);
    let whole = snapshot(&host, "a", "whole", true);
    let dir = host.pool().join("snapshots").join(whole.uuid.to_string());
    let (first, second) = (count(&dir.join("private.img")), count(&dir.join("volatile.img")));
    assert!(second > 0 && (first == second || first == second + 1), "{first} {second}");
    let d = start_from(&host, "d", "whole");
    d.run("sleep 0.3; touch /stop; sleep 0.3")?;
    for guest in [&a, &d] {
        // What it remembers and what its disks have is of one moment.
        assert_eq!(guest.run("cat /torn 2>/dev/null || echo whole")?, "whole");
    }
    let counted = d.run("for disk in /dev/vdb /dev/vdc; do head -c 512 $disk; done")?;
    let counted: Vec<u64> = counted.split_whitespace().map(|text| text.parse().unwrap()).collect();
    assert!(counted[0] == counted[1] && counted[0] > first, "{counted:?}");

    host.must(&["stop", "b", "--force", "--discard"]);
    assert_eq!(host.left("b"), Vec::<String>::new());
    Ok(())
}

/// Starts a VM in a way for which there is no verb. Returns what was said on the way.
fn supervised(host: &Host, name: &str, how: &[&str]) -> ebbtide::Result<(bool, Vec<String>)> {
    let pool = pool(host);
    let dir = host.pool();
    let words = ["--pool", dir.to_str().unwrap(), "--verbose", "supervise", name];
    let command = host.command(&[&words[..], how, &["--"]].concat());
    let mut said = Vec::new();
    let ready =
        qemu::start(&pool, &name.parse()?, command, &mut |sentence| said.push(sentence.into()))?;
    let is_left = how.contains(&"--ready");
    if is_left {
        drop(ready)
    } else {
        drop(ready.go()?)
    }
    Ok((is_left, said))
}

fn standing(host: &Host, name: &str) -> String {
    ask(host, name, "query-status", &json!({}))["status"].as_str().unwrap().to_owned()
}

#[test]
fn what_does_not_fit_is_named_and_starts_anew_where_that_is_wanted() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a", "b"]);
    host.refuses(&["savestate", "create", "a"], &["a does not run", "ebbtide start a"]);
    host.must(&["start", "a"]);
    let id = save(&host, "a");
    assert_eq!(standing(&host, "a"), "running");
    host.must(&["start", "b", "--from", &id[..4]]);
    assert_eq!(standing(&host, "b"), "running");
    let said = host.must(&["stop", "b", "--force", "--discard"]);
    assert!(said.out.contains("b:private: what was written is dropped"), "{}", said.out);

    host.must(&["vm", "set", "b", "memory=256M", "cpus=2"]);
    let misfits = ["memory 512 MiB then, 256 MiB now", "cpus 1 then, 2 now"];
    host.refuses(&["start", "b", "--from", &id], &misfits);
    assert_eq!((host.state("b").as_str(), host.left("b")), ("stopped", vec![]));
    let (_, said) = supervised(&host, "b", &["--from", &id, "--or-cold"]).unwrap();
    assert!(said[0].contains("starts anew") && said[0].contains(misfits[0]), "{said:?}");
    assert_eq!(standing(&host, "b"), "running");
    host.must(&["stop", "b", "--force", "--discard"]);
    host.must(&["vm", "set", "b", "memory=512M", "cpus=1"]);

    // Nothing tells before it is read that the memory is not whole.
    let memory = host.pool().join("savestates").join(&id).join("memory");
    let whole = fs::metadata(&memory).unwrap().len();
    fs::OpenOptions::new().write(true).open(&memory).unwrap().set_len(whole / 2).unwrap();
    host.refuses(&["start", "b", "--from", &id], &["QEMU: "]);
    assert_eq!((host.state("b").as_str(), host.left("b")), ("stopped", vec![]));
    let (_, said) = supervised(&host, "b", &["--from", &id, "--or-cold"]).unwrap();
    assert!(said[0].contains("starts anew, QEMU: ") || said[0].contains("QEMU: "), "{said:?}");
    assert_eq!(standing(&host, "b"), "running");
    host.refuses(
        &["start", "b", "--from", "ffff"],
        &["there is no savestate and no snapshot ffff"],
    );
    host.must(&["pool", "check"]);
    Ok(())
}

#[test]
fn a_machine_that_stands_ready_is_the_firsts_who_wants_it() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a", "b", "c"]);
    host.must(&["start", "a"]);
    let id = save(&host, "a");
    for name in ["b", "c"] {
        supervised(&host, name, &["--from", &id, "--ready"]).unwrap();
        assert_eq!(standing(&host, name), "paused");
    }
    let (b, run_of_b) = ("b".parse().unwrap(), run(&host, "b"));
    let refused = qemu::savestate(&b, &run_of_b).unwrap_err().to_string();
    assert!(refused.contains("b was not let run yet"), "{refused}");
    assert!(qemu::hand_over(&b, &run_of_b).unwrap());
    assert_eq!(standing(&host, "b"), "running");
    assert!(!qemu::hand_over(&b, &run_of_b).unwrap());
    assert!(
        !qemu::hand_over(&"a".parse().unwrap(), &run(&host, "a")).unwrap(),
        "it never stood ready"
    );
    // Nobody ever let it run.
    host.run(&["stop", "c", "--timeout", "10"]);
    assert_eq!((host.state("c").as_str(), host.left("c")), ("stopped", vec![]));
    Ok(())
}

#[test]
fn a_machine_does_not_stand_still_for_ever_when_its_supervisor_is_killed() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["start", "a"]);
    let run = run(&host, "a");
    let supervisor = host.supervisor("a").unwrap();
    ask(&host, "a", "stop", &json!({}));
    end(supervisor);
    assert_eq!(standing(&host, "a"), "paused");
    let refused = qemu::savestate(&"a".parse().unwrap(), &run).unwrap_err();
    assert!(refused.to_string().contains("the supervisor of a is gone"), "{refused}");
    host.refuses(&["stop", "a", "--timeout", "1"], &["has not shut down within 1 s"]);
    assert_eq!(standing(&host, "a"), "running");
    host.must(&["stop", "a", "--force"]);
    Ok(())
}

#[test]
fn a_guest_that_keeps_its_network_card_goes_on_with_it() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["vm", "set", "a", "network=user"]);
    let started = host.command(&["start", "a"]).env("EBBTIDE_TIME_SCALE", "0.1").status().unwrap();
    assert!(started.success());
    // Nothing in it knows how to give one up.
    host.refuses(
        &["savestate", "create", "a"],
        &["the memory of a cannot be saved", "has not given up nic", "acpiphp"],
    );
    assert_eq!((standing(&host, "a").as_str(), address(&host, "a").len()), ("running", 17));
    assert!(
        is_gone(&host.pool().join("savestates")) || {
            fs::read_dir(host.pool().join("savestates")).unwrap().count() == 0
        }
    );
    // It goes with a reset, and comes again.
    ask(&host, "a", "system_reset", &json!({}));
    let path = json!({"path": "/machine/peripheral"});
    let has_one = || ask(&host, "a", "qom-list", &path).to_string().contains("\"nic\"");
    let started = Instant::now();
    while !has_one() {
        assert!(started.elapsed() < LIMIT);
    }
    qemu::snapshot(&"a".parse().unwrap(), &run(&host, "a"), None, false, &mut |_| {}).unwrap();
    Ok(())
}

/// Waits for the hot savestate of a VM that is current, alone, and another one than that.
#[track_caller]
fn hot_other_than(host: &Host, name: &str, other: &str) -> String {
    let started = Instant::now();
    loop {
        let listed = host.must(&["--json", "savestate", "list", name]).out;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let hot: Vec<&Value> = listed.as_array().unwrap().iter().collect();
        if let [one] = hot[..]
            && one["is_current"] == true
            && one["uuid"] != other
            && one["kind"] == "hot"
            && seeds(host).is_empty()
        {
            return one["uuid"].as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < LIMIT, "{listed} {:?}", seeds(host));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_hot_savestate_is_made_again_when_the_template_s_kernel_is_told_something_else() -> Result<()> {
    require!(qemu_is_there());
    let image = require!(Image::named("stage"));
    let host = Host::new().booting(&image, &["a"]);
    host.must(&["vm", "set", "a", "memory=192M", "hot=0s"]);
    let first = hot_other_than(&host, "a", "");
    host.must(&["vm", "set", "t", &format!("cmdline={} quiet", image.cmdline())]);
    let second = hot_other_than(&host, "a", &first);
    // What is its own hides what its template has.
    host.must(&["vm", "set", "a", &format!("cmdline={} quiet", image.cmdline())]);
    let own = hot_other_than(&host, "a", &second);
    host.must(&["vm", "set", "t", "cmdline="]);
    assert_eq!(host.must(&["start", "a", "--disposable"]).err, "");
    assert_eq!(hot_other_than(&host, "a", ""), own);
    Ok(())
}

/// Returns the clones that were made for a hot savestate and are there.
fn seeds(host: &Host) -> Vec<String> {
    let names = fs::read_dir(host.pool().join("appvms")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("seed")).collect()
}

#[test]
fn a_hot_savestate_is_made_by_one_at_a_time_and_again_when_that_one_is_killed() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["vm", "set", "a", "hot=0s"]);
    let first = hot_other_than(&host, "a", "");
    host.must(&["vm", "set", "a", "hot=600s"]);
    let mut refresh = host.command(&["savestate", "create", "a", "--hot"]).spawn().unwrap();
    let started = Instant::now();
    while seeds(&host).is_empty()
        || host.run(&["vm", "show", "a-seed1"]).out.find("running").is_none()
    {
        assert!(started.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(20));
    }
    host.refuses(&["savestate", "create", "a", "--hot"], &["is being made by somebody else"]);
    refresh.kill().unwrap();
    refresh.wait().unwrap();
    host.must(&["vm", "set", "a", "hot=0s"]);
    host.must(&["savestate", "create", "a", "--hot"]);
    hot_other_than(&host, "a", &first);
    host.must(&["pool", "check"]);
    Ok(())
}
