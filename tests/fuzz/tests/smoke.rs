//! Some seconds of each target (`FUZZ_SECONDS`): the seeds as they are, then mutations of them from a fixed
//! seed. Without coverage to guide it, this finds what has just been broken, not what has long been
//! wrong: see the crate's documentation for that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use fuzz::target;

#[test]
fn message() {
    smoke("message", target::message);
}

#[test]
fn name() {
    smoke("name", target::name);
}

#[test]
fn rdata() {
    smoke("rdata", target::rdata);
}

#[test]
fn zonefile() {
    smoke("zonefile", target::zonefile);
}

fn smoke(name: &str, target: fn(&[u8])) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(home.join("corpus").join(name))
        .expect("seeds")
        .map(|entry| entry.expect("a seed").path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed"))
        .collect();
    let dictionary = home.join("dictionaries").join(format!("{name}.dict"));
    let words = words(&std::fs::read_to_string(dictionary).expect("a dictionary"));

    let seconds = std::env::var("FUZZ_SECONDS").map_or(1, |text| text.parse().expect("seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rng = Rng::with_seed(1);
    let mut count = 0;
    for seed in &seeds {
        run(name, target, seed);
    }
    while Instant::now() < end {
        let mut octets = rng.choice(&seeds).expect("a seed").clone();
        for _ in 0..rng.usize(1..6) {
            mutate(&mut octets, &seeds, &words, &mut rng);
        }
        run(name, target, &octets);
        count += 1;
    }
    println!("{name}: {} seeds and {count} mutations", seeds.len());
}

fn run(name: &str, target: fn(&[u8]), octets: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(octets))).is_err() {
        panic!("{name} fails on b\"{}\"", octets.escape_ascii());
    }
}

/// One of the things that libFuzzer does to inputs, too.
fn mutate(octets: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[Vec<u8>], rng: &mut Rng) {
    let (from, to) = (rng.usize(0..=octets.len()), rng.usize(0..=octets.len()));
    let (from, to) = (from.min(to), from.max(to));
    match rng.u8(0..8) {
        0 => octets.insert(from, rng.u8(..)),
        1 | 2 if from < octets.len() => octets[from] ^= 1 << rng.u8(..8),
        3 if from < octets.len() => octets[from] = rng.u8(..),
        4 => drop(octets.drain(from..to.min(from + 8))),
        // Twice: no more, or lengths grow without end.
        5 => octets.extend_from_within(from..to.min(from + 256)),
        6 => {
            let other = rng.choice(seeds).expect("a seed");
            let cut = rng.usize(0..=other.len());
            octets.truncate(from);
            octets.extend_from_slice(&other[cut..]);
        }
        _ => {
            let word = rng.choice(words).expect("a word");
            octets.splice(from..from, word.iter().copied());
        }
    }
}

/// The words of a dictionary of libFuzzer: one in quotes a line, with `\\`, `\"` and `\xNN`.
fn words(text: &str) -> Vec<Vec<u8>> {
    let quoted = text
        .lines()
        .filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let (octet, after) = match (octet, after) {
            (b'\\', [b'x', a, b, after @ ..]) => {
                let digits = [*a, *b].map(|digit| char::from(digit).to_digit(16).expect(text));
                ((digits[0] << 4 | digits[1]) as u8, after)
            }
            (b'\\', [escaped, after @ ..]) => (*escaped, after),
            _ => (octet, after),
        };
        octets.push(octet);
        rest = after;
    }
    octets
}
