//! The zone that is served, as a master file, and the questions about it. The same in every run.

use std::fmt::Write;
use std::path::PathBuf;

use tests::TempDir;

/// The zone.
pub(crate) const ZONE: &str = "bench.test";

/// A name with a large TXT RRset, of which much is sent for a little that is asked.
pub(crate) const ATTACKED: &str = "large.bench.test";

/// A zone and questions about it, as files.
pub(crate) struct Data {
    _folder: TempDir,
    /// The master file.
    pub(crate) zone: PathBuf,
    /// The questions: name, type and `E` for EDNS, as kxdpgun reads them.
    pub(crate) queries: PathBuf,
    /// The questions without the flag, as dnsperf reads them.
    pub(crate) plain: PathBuf,
    /// The questions of a flood, without the flag.
    pub(crate) attack: PathBuf,
}

impl Data {
    /// So many names: A (55 %), AAAA (20 %), MX (15 %) and CNAME (10 %); and a question for each, of which one
    /// in ten is for a name that is not there.
    pub(crate) fn mixed(names: usize) -> Self {
        let mut zone = head();
        let text = format!("\"{}\" ", "x".repeat(200)).repeat(5);
        writeln!(zone, "{ATTACKED}. TXT {text}").expect("a string takes it");
        let mut questions = Vec::new();
        for index in 0..names {
            let (low, high) = (index & 255, index >> 8);
            let (rtype, rdata) = match index % 20 {
                0..11 => ("A", format!("192.{}.{}.{low}", high >> 8, high & 255)),
                11..15 => ("AAAA", format!("2001:db8::{high:x}:{low:x}")),
                15..18 => ("MX", format!("10 h{}", index / 20 * 20)),
                _ => ("CNAME", format!("h{}", index / 20 * 20)),
            };
            writeln!(zone, "h{index} {rtype} {rdata}").expect("a string takes it");
            let asked = if rtype == "CNAME" { "A" } else { rtype };
            let missing = if index % 10 == 3 { "no" } else { "h" };
            questions.push(format!("{missing}{index}.{ZONE}. {asked}"));
        }
        // Neighbours shall not be asked for one after the other.
        let step = (1..)
            .map(|n| questions.len() / 3 + n)
            .find(|step| gcd(*step, questions.len()) == 1);
        let step = step.expect("a prime is among them");
        let order = (0..questions.len()).map(|index| &questions[index * step % questions.len()]);
        let (mut queries, mut plain) = (String::new(), String::new());
        for question in order {
            writeln!(queries, "{question} E").expect("a string takes it");
            writeln!(plain, "{question}").expect("a string takes it");
        }
        Self::write(&zone, &queries, &plain)
    }

    /// So many RRsets, each one address.
    pub(crate) fn addresses(count: usize) -> Self {
        let mut zone = head();
        for index in 0..count {
            let (low, middle, high) = (index & 255, index >> 8 & 255, index >> 16 & 255);
            writeln!(zone, "h{index} A 10.{high}.{middle}.{low}").expect("a string takes it");
        }
        Self::write(&zone, "", "")
    }

    fn write(zone: &str, queries: &str, plain: &str) -> Self {
        let folder = TempDir::new();
        Data {
            zone: folder.write("bench.zone", zone),
            attack: folder.write("attack", &attack()),
            queries: folder.write("queries", queries),
            plain: folder.write("plain", plain),
            _folder: folder,
        }
    }
}

fn head() -> String {
    format!(
        "$ORIGIN {ZONE}.\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
    )
}

/// Half of it asks for much, the other half for names that are not there.
fn attack() -> String {
    let pair = |index| format!("{ATTACKED}. TXT\nforged{index}.{ZONE}. A\n");
    (0..10_000).map(pair).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
