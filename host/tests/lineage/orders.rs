//! Bases with clones are removed in every order, and each that is left has what it had.

use crate::{is_whole, pools::*};
use ebbtide::{pool::driver::Ending, vm};

fn permutations(items: &[&'static str]) -> Vec<Vec<&'static str>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(place);
        for mut order in permutations(&rest) {
            order.insert(0, item);
            found.push(order);
        }
    }
    found
}

#[test]
fn bases_and_clones_go_in_any_order() {
    let (store, pool) = empty();
    template(&pool, "a").unwrap();
    // A tree: b and c of a, d of b, and each writes something of its own.
    for (source, clone) in [("a", "b"), ("a", "c"), ("b", "d")] {
        vm::clone(&pool, &name(source), &name(clone)).unwrap();
        run(&pool, &store, clone, "root", clone.as_bytes(), Ending::Commit);
    }
    let orders = permutations(&["a", "b", "c", "d"]);
    assert_eq!(orders.len(), 24);
    for order in orders {
        let store = store.fork();
        let pool = over(&store);
        for (gone, vm) in order.iter().enumerate() {
            assert!(vm::remove(&pool, &name(vm)).unwrap().later.is_empty());
            is_whole(&pool);
            for left in &order[gone + 1..] {
                let wanted: &[u8] = if *left == "a" { b"" } else { left.as_bytes() };
                assert_eq!(version(&store, &dir(&pool, left), "root"), wanted, "{order:?}");
                // What it is linked to is there.
                if let Some(base) = pool.vm(&name(left)).unwrap().record.base {
                    assert!(pool.vm(&base).is_ok(), "{order:?}: {left} is linked to {base}");
                }
            }
        }
        assert_eq!(tree(&store), ["appvms", "snapshots", "vm-templates"]);
    }
}

#[test]
fn a_vm_that_is_marked_goes_with_the_last_reference() {
    let (_, pool) = usual();
    app_vm(&pool, "play", "debian").unwrap();
    let running = start(&pool, "play").unwrap();
    assert_eq!(vm::remove(&pool, &name("debian")).unwrap().later.len(), 2);
    assert_eq!(vm::remove(&pool, &name("play")).unwrap().later, [vm::Reference::Runs]);
    assert!(vm::remove(&pool, &name("work")).unwrap().later.is_empty());
    assert!(app_vm(&pool, "more", "debian").is_err(), "nothing new refers to what is to go");
    assert!(pool.vm(&name("debian")).is_ok());
    vm::release(&pool, &running, Ending::Discard).unwrap();
    drop(running);
    let said = vm::follow_up(&pool).unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(pool.vms().unwrap().vms.is_empty());
}
