//! One merge of each kind under a tracer, and once more for its memory.

use crate::{
    Result, case,
    contestants::{self, Does},
    memory,
    place::Place,
    run::quietly,
};
use std::{path::Path, process::Command};

/// Merges in `dir`; leaves a trace of each in `traces` and says which: `trace FILE WHO…`, and `memory BYTES WHO…`.
pub(crate) fn run(dir: &Path, traces: &Path, ebbtide: &Path) -> Result<()> {
    let mut place = Place::make(dir.join("calls"), case::scattered())?;
    let all = contestants::of(place.case.name, place.clones, place.moves);
    for (number, one) in all.iter().enumerate() {
        let Does::Ours { .. } = one.does else { continue };
        let program = one.ours(&place, ebbtide);
        let trace = traces.join(number.to_string());
        ready(&mut place, one)?;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-o"]).arg(&trace);
        quietly(strace.arg(program.get_program()).args(program.get_args()))?;
        println!("trace {} {}", trace.display(), one.who);

        ready(&mut place, one)?;
        println!("memory {} {}", memory::taken(&program)?, one.who);
    }
    Ok(())
}

fn ready(place: &mut Place, one: &contestants::Contestant) -> Result<()> {
    place.fresh(&one.cow(place), one.is_new())?;
    if !one.is_new() {
        place.use_backing();
    }
    Ok(())
}
