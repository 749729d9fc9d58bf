//! Any exception store over any device: no panic, and what a reader says that counts in 128 bits and sorts nothing out.

#![no_main]

use arbitrary::Arbitrary;
use ebbtide_format::{
    exception_store::{Exception, HEAD, Header, Problem, Seen, exceptions},
    units::Bytes,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    head: Vec<u8>,
    /// Mostly a header that can be believed, with chunks of so many sectors.
    shift: Option<u8>,
    store: u64,
    origin: u64,
    /// Small numbers are where most of it happens.
    small: bool,
    area: u64,
    metadata: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let mut head = input.head;
    if let Some(shift) = input.shift {
        let sectors = 1_u32 << (shift % 24);
        head = [0x7041_6e53, 1, 1, sectors].map(u32::to_le_bytes).concat();
    }
    let narrow = |number: u64| if input.small { number % (1 << 22) } else { number };
    let (store, origin) = (narrow(input.store), narrow(input.origin));
    let seen = match Seen::parse(&head) {
        Ok(seen) => seen,
        Err(problem) => {
            told(problem);
            assert!(head.len() < HEAD || !matches!(word(&head, 0), 0 | 0x7041_6e53));
            return;
        }
    };
    let chunk = match seen.believe(Bytes(store)) {
        Ok(header) => {
            areas(&header, store, narrow(input.area));
            let near = edges(&header, origin, narrow(input.area));
            for exception in metadata(&input.metadata).into_iter().chain(near) {
                check(&header, exception, store, origin);
            }
            Some(header.chunk().0)
        }
        Err(problem) => {
            told(problem);
            None
        }
    };
    assert_eq!(chunk, believed(&head, store));
});

fn word(head: &[u8], index: usize) -> u32 {
    let bytes = &head[4 * index..4 * index + 4];
    bytes.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte))
}

/// Returns the chunk of a store that may be used.
fn believed(head: &[u8], store: u64) -> Option<u64> {
    let chunk = u64::from(word(head, 3)) * 512;
    let is_size = chunk.count_ones() == 1 && chunk <= 1 << 30;
    let is_usable = word(head, 0) != 0 && word(head, 1) != 0 && word(head, 2) == 1;
    (is_usable && is_size && store / 2 >= chunk).then_some(chunk)
}

/// Looks at the metadata of some areas, the last among them.
fn areas(header: &Header, store: u64, any: u64) {
    let (chunk, stride) = (u128::from(header.chunk().0), u128::from(header.per_area()) + 1);
    assert_eq!(stride, chunk / 16 + 1);
    let last = (u128::from(header.chunks()) / stride) as u64;
    for area in [0, 1, any, last.saturating_sub(1), last, last.saturating_add(1), u64::MAX] {
        let start = (1 + u128::from(area) * stride) * chunk;
        let is_there = start + chunk <= u128::from(store);
        let expected = is_there.then(|| start as u64..(start + chunk) as u64);
        assert_eq!(header.area(area), expected, "{area}");
    }
}

/// Returns exceptions at the ends of what is right.
fn edges(header: &Header, origin: u64, area: u64) -> Vec<Exception> {
    let (end, stride) = (header.chunks(), header.per_area() + 1);
    let metadata = area.wrapping_mul(stride);
    let news = [
        0,
        1,
        2,
        stride,
        stride + 1,
        stride + 2,
        metadata,
        metadata.wrapping_add(1),
        end - 1,
        end,
        end + 1,
    ];
    let last = origin / header.chunk().0;
    let olds = [0, last.saturating_sub(1), last, last + 1];
    let all = olds.iter().flat_map(|old| news.iter().map(|new| Exception { old: *old, new: *new }));
    all.collect()
}

/// Reads exceptions twice.
fn metadata(bytes: &[u8]) -> Vec<Exception> {
    let mut all = exceptions(bytes);
    let found: Vec<_> = all.by_ref().collect();
    let mut naive = Vec::new();
    let mut ended = false;
    for pair in bytes.chunks(16).filter(|pair| pair.len() == 16) {
        let number =
            |half: &[u8]| half.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (old, new) = (number(&pair[..8]), number(&pair[8..]));
        if new == 0 {
            ended = true;
            break;
        }
        naive.push(Exception { old, new });
    }
    assert_eq!((&found, all.ended()), (&naive, ended));
    found
}

fn check(header: &Header, exception: Exception, store: u64, origin: u64) {
    let chunk = u128::from(header.chunk().0);
    let (old, new) = (u128::from(exception.old), u128::from(exception.new));
    let is_data = new != 0 && (new - 1) % (chunk / 16 + 1) != 0;
    let is_inside = old * chunk < u128::from(origin) && (new + 1) * chunk <= u128::from(store);
    match header.check(exception, Bytes(origin)) {
        Ok(()) => {
            assert!(is_data && is_inside, "{exception:?}");
            assert_eq!(u128::from(header.data(exception.new)), new * chunk);
        }
        Err(problem) => {
            told(problem);
            assert!(!is_data || !is_inside, "{exception:?}: {problem}");
        }
    }
    // Also what was not checked is no reason to panic.
    let _ = header.data(exception.new);
}

fn told(problem: Problem) {
    assert!(problem.to_string().contains("store") || problem.to_string().contains("chunk"));
}
