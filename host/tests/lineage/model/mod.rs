//! Random verbs against a small model of the rules, and each cut somewhere on the way.
//!
//! `rules` is the model, with `place`, `settings`, `shots` and `saved` for what its names say; `act` the verbs, and
//! `beginning` those that each case begins with. `world` does them
//! with a pool, `savestates` those of savestates; `compare` looks at what became of it, `cut` at what a cut
//! leaves. After each verb the next command has
//! come by, as a user's would: what is due is made, what nobody refers to is gone.

mod act;
mod beginning;
mod compare;
mod cut;
mod machine;
mod place;
mod rules;
mod saved;
mod savestates;
mod settings;
mod shots;
mod world;

use act::{Act, Raw};
use proptest::prelude::*;
use rules::Model;
use world::World;

/// One case: a beginning, and verbs, each with where it is cut in a copy of the pool.
fn cases() -> impl Strategy<Value = (u8, Vec<(Raw, u64)>)> {
    let raw = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>());
    (any::<u8>(), proptest::collection::vec((raw, 0..160u64), 1..50))
}

fn run_all(beginning: u8, case: &[(Raw, u64)]) {
    let mut world = World::new();
    let mut model = Model::default();
    for act in beginning::acts(beginning) {
        assert!(step(&mut world, &mut model, &act, None), "{act:?}");
    }
    for (raw, cut) in case {
        let act = act::choose(&model, *raw);
        step(&mut world, &mut model, &act, Some(*cut));
    }
    end(&mut world, &mut model);
}

/// Does a verb, and holds what became of it against the model. Returns whether it was done, and not refused.
fn step(world: &mut World, model: &mut Model, act: &Act, cut: Option<u64>) -> bool {
    let old = model.clone();
    let is_done = model.apply(act);
    model.settle();
    world.done.push(act.clone());
    if let Some(cut) = cut.filter(|cut| *cut < 40 && act.is_whole()) {
        world.cut(act, cut, [&old, model]);
    }
    let result = world.act(act, &old, model).map_err(|error| error.to_string());
    assert_eq!(result.is_ok(), is_done, "{result:?}, the last of {:?}", world.done);
    world.follow_up();
    let compared = world.compare(model);
    assert_eq!(compared, Ok(()), "after {:?}", world.done);
    world.is_whole();
    is_done
}

/// Stops and removes everything; nothing but the snapshots is left then.
fn end(world: &mut World, model: &mut Model) {
    while let Some(running) = model.names().into_iter().find(|name| model.vms[name].runs) {
        step(world, model, &Act::Stop(running, ebbtide::pool::driver::Ending::Commit), None);
    }
    while let Some(name) = model.names().pop() {
        let (before, names) = (model.clone(), model.names());
        // Templates of others, and what comes again, go when those are gone.
        for name in std::iter::once(name).chain(names) {
            if model.vms.contains_key(&name) {
                step(world, model, &Act::Remove(name), None);
            }
        }
        assert!(model.vms != before.vms, "nothing goes any more: {model:#?}");
    }
    world.is_empty();
    for id in model.snapshots.keys().copied().collect::<Vec<_>>() {
        step(world, model, &Act::RemoveSnapshot(id), None);
    }
    let mut left = crate::pools::tree(&world.store);
    left.retain(|path| path != "savestates");
    assert_eq!(left, ["appvms", "snapshots", "vm-templates"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verbs_in_any_order_do_what_the_rules_say((beginning, case) in cases()) {
        run_all(beginning, &case);
    }
}
