//! All contestants in turn, for each case.

use crate::{
    Result,
    case::{self, Case, Written},
    contestants::{self, Contestant},
    place::Place,
    rest::settle,
};
use std::{fs, path::Path, time::Instant};

/// Measures all cases in `dir`, `rounds` times each.
pub(crate) fn measure(dir: &Path, rounds: usize, ebbtide: &Path) -> Result<()> {
    for case in [case::scattered(), case::dense(), case::tiny()] {
        one(dir, case, rounds, ebbtide)?;
    }
    Ok(())
}

fn one(dir: &Path, case: Case, rounds: usize, ebbtide: &Path) -> Result<()> {
    let name = case.name;
    println!("case {name} {} {} {}", case.size, case.pieces.len(), case.bytes());
    let mut place = Place::make(dir.join(name), case)?;
    let written = [4096, 8192].map(|chunk| (chunk, place.case.written(chunk)));
    let all = contestants::of(name, place.clones, place.moves);
    for round in 0..rounds {
        // Who comes after whom changes.
        let forth = 0..all.len();
        let order: Vec<usize> =
            if round % 2 == 0 { forth.collect() } else { forth.rev().collect() };
        for contestant in order.into_iter().map(|at| &all[at]) {
            let of_chunk = written.iter().find(|(chunk, _)| *chunk == contestant.chunk());
            let (_, written) = of_chunk.ok_or("no data of that chunk")?;
            if round % contestant.every == 0 {
                turn(contestant, &mut place, written, round, ebbtide)?;
            }
        }
        eprintln!("{name}: round {} of {rounds}", round + 1);
    }
    fs::remove_dir_all(&place.dir)?;
    settle(dir)
}

/// Measures one contestant once.
fn turn(
    contestant: &Contestant,
    place: &mut Place,
    written: &Written,
    round: usize,
    ebbtide: &Path,
) -> Result<()> {
    place.fresh(&contestant.cow(place), contestant.is_new())?;
    if !contestant.is_new() {
        place.use_backing();
    }
    let began = Instant::now();
    contestant.run(place, written, ebbtide)?;
    let took = began.elapsed();
    let Contestant { who, limit, .. } = contestant;
    println!("took {} {round} {} {who} / {limit}", place.case.name, took.as_nanos());
    if round == 0 {
        let merged = if contestant.is_new() { place.out() } else { place.backing() };
        place.check(&merged, written)?;
    }
    Ok(())
}
