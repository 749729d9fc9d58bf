//! What a case begins with: rules that many verbs in one order are needed for are held in some of them from then on.

use super::act::Act;
use ebbtide::pool::driver::Ending;

/// How many beginnings there are.
const BEGINNINGS: u8 = 5;

/// Returns the verbs of a beginning. All have two templates, `a` and `b`.
pub(crate) fn acts(which: u8) -> Vec<Act> {
    let mut acts = vec![Act::Template("a".into()), Act::Template("b".into())];
    acts.extend(match which % BEGINNINGS {
        0 => template_that_a_savestate_keeps(),
        1 => version_that_a_savestate_keeps(),
        2 => hot_savestate(),
        _ => Vec::new(),
    });
    acts
}

/// A VM boots from another template since, and the one that its savestate was taken on is to go.
fn template_that_a_savestate_keeps() -> Vec<Act> {
    let mut acts = saved();
    acts.push(Act::Stop("c".into(), Ending::Commit));
    acts.push(set("template", "b"));
    acts.push(Act::Remove("a".into()));
    acts
}

/// A VM was saved on a version that is not the newest any more.
fn version_that_a_savestate_keeps() -> Vec<Act> {
    let mut acts = vec![Act::Set("a".into(), vec![("versioned", "auto".into())])];
    acts.extend(saved());
    acts.push(Act::Start { name: "a-next".into(), locked: false });
    acts.push(Act::Write { name: "a-next".into(), disk: "root", byte: 7 });
    acts.push(Act::Stop("a-next".into(), Ending::Commit));
    acts
}

/// A VM has a hot savestate, from which others go on.
fn hot_savestate() -> Vec<Act> {
    vec![app_vm(), Act::Hot("c".into())]
}

/// A VM of the template `a` that runs and was saved.
fn saved() -> Vec<Act> {
    vec![app_vm(), Act::Start { name: "c".into(), locked: false }, Act::Save("c".into())]
}

fn app_vm() -> Act {
    Act::AppVm { name: "c".into(), template: "a".into(), own_root: false, private: true }
}

fn set(key: &'static str, value: &str) -> Act {
    Act::Set("c".into(), vec![(key, value.into())])
}
