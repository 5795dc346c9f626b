//! Random and mutated octets: nothing panics, and every reply can be read.

use super::*;

/// Numbers that are the same in every run (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn check(view: &View, octets: &[u8], limit: usize) -> usize {
    let sent = reply(view, octets, limit);
    if !sent.is_empty() {
        let message = decode(&sent).expect("a whole message");
        assert!(sent.len() <= limit.max(512));
        assert_eq!(sent[..2], octets[..2]);
        let has_question = sent[5] == 1;
        assert!(!has_question || octets[12..].starts_with(&message.question));
    }
    sent.len()
}

#[test]
fn random_octets() {
    let (view, mut random) = (view(ZONE), Random(1));
    for _ in 0..100_000 {
        let len = random.below(80);
        let mut octets: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        // Half of them with a header that lets them in.
        if let Some(header) = octets.first_chunk_mut::<12>()
            && random.below(2) == 0
        {
            header[2] &= 1;
            header[4..].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, random.below(3) as u8]);
        }
        check(&view, &octets, 512);
    }
}

#[test]
fn mutated_queries() {
    let (view, mut random) = (view(ZONE), Random(2));
    let names = [
        "w.a.test.",
        "test.",
        "mail.test.",
        "no.such.name.test.",
        ".",
        "al.test.",
    ];
    let rtypes = [
        Rtype::A,
        Rtype::MX,
        Rtype::TXT,
        Rtype::ANY,
        Rtype::DS,
        Rtype::NS,
    ];
    let mut answered = 0;
    for _ in 0..100_000 {
        let mut octets = query(names[random.below(6)], rtypes[random.below(6)], Some(1232));
        for _ in 0..random.below(4) {
            let at = random.below(octets.len());
            match random.below(4) {
                0 => octets[at] ^= 1 << random.below(8),
                1 => octets[at] = random.next() as u8,
                2 => drop(octets.remove(at)),
                _ => octets.insert(at, random.next() as u8),
            }
        }
        answered += usize::from(check(&view, &octets, 30 + random.below(500)) > 0);
    }
    assert!(answered > 80_000, "{answered}");
}

#[test]
fn every_beginning_of_a_query() {
    let view = view(ZONE);
    let octets = query("mail.test.", Rtype::A, Some(1232));
    let whole = check(&view, &octets, 1232);
    for end in 0..octets.len() {
        let sent = check(&view, &octets[..end], 1232);
        assert!(if end < 12 { sent == 0 } else { sent < whole });
    }
}

#[test]
fn an_answer_can_be_used_again() {
    let (view, mut random) = (view(ZONE), Random(3));
    let names = [
        "w.a.test.",
        "x.a.test.",
        "mail.test.",
        "no.test.",
        "other.",
        "al.test.",
    ];
    let mut answer = Answer::new();
    for _ in 0..1_000 {
        let octets = query(names[random.below(6)], Rtype::TXT, None);
        let query = parse(&octets).unwrap();
        resolve_into(
            &view,
            &query.question(),
            &|_| crate::policy::Decision::Allow,
            &mut answer,
        );
        let mut out = [0; 512];
        let len = encode(&answer, &query, &OURS, 512, &mut out);
        assert_eq!(out[..len], reply(&view, &octets, 512));
    }
}
