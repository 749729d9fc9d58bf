//! A machine that is played: its savestates are taken without an engine.

use ebbtide::{
    Error, Result,
    pool::Pool,
    vm::{
        Guard, Memory, Still,
        savestate::{Of, Taking},
    },
};
use std::path::Path;
use uuid::Uuid;

/// What its memory is.
pub(crate) const MEMORY: &[u8] = b"its memory";

/// A machine whose memory is two words.
struct Played<'a>(&'a Pool);

impl Still for Played<'_> {
    fn save(&mut self, file: &Path) -> Result<Memory> {
        let file = file.strip_prefix("/memory").unwrap();
        self.0.store().write_new(file, MEMORY).map_err(Error::doing("save"))?;
        Ok(Memory { qemu: "7.2.0".into(), machine: vec!["memory 1M".into()] })
    }
}

/// Takes a savestate of a VM that runs.
pub(crate) fn take(pool: &Pool, guard: &Guard, of: Of<'_>) -> Result<Uuid> {
    let mut taking = Taking::begin(pool, guard, of)?;
    match taking.hold(pool, &mut Played(pool)) {
        Ok(()) => taking.finish(pool).map(|savestate| savestate.uuid),
        Err(error) => {
            taking.discard(pool);
            Err(error)
        }
    }
}
