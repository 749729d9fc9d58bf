//! Any machine with any options: planning never panics, and a plan keeps what was promised.

#![no_main]

mod machine;
mod promises;

use arbitrary::Unstructured;
use ebbtide_init::plan::plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((options, observed)) = machine::draw(&mut Unstructured::new(data)) else { return };
    match plan(&options, &observed) {
        Ok(plan) => {
            promises::check(&plan, &options, &observed);
            assert_eq!(plan.to_string().lines().count(), 1 + plan.notes.len() + plan.steps.len());
        }
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty() && !refusal.hint().is_empty());
            let _ = (refusal.role(), refusal.may_pass());
        }
    }
});
