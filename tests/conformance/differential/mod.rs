//! Random zones and questions: what we answer, beside what Knot and NSD answer from the same master files.
//!
//! A difference is explained by a rule of `explain`, or by this: the two differ, and we agree with one of
//! them. Any other fails the test, with the smallest zones that still show it.

mod explain;
mod peers;
mod query;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use etcd::model::{Name, zonefile::Checked};
use nsd::zone::View;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::explain::{Case, explain};
use self::peers::{Kind, Peer};
use self::query::{Query, queries};
use self::world::{File, Site, World, world};
use crate::response::Response;
use crate::zones;

/// Worlds that are served at once, and questions about each.
const WORLDS: usize = 40;
const QUESTIONS: usize = 500;

/// How often all of it is done with `NSD_TEST_LONG=1`, each time with other zones.
const ROUNDS_LONG: u64 = 10;

/// How long the smallest zones are looked for.
const SHRINK: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn we_answer_as_knot_and_nsd_do() {
    if let Some(kind) = Kind::ALL.iter().find(|kind| kind.program().is_none()) {
        tests::skipped!("it is not installed: {kind:?}");
        return;
    }
    let is_long = std::env::var("NSD_TEST_LONG").is_ok_and(|value| value == "1");
    let mut tally = Tally::default();
    let rounds = if is_long { ROUNDS_LONG } else { 1 };
    for round in 0..rounds {
        let sites = (0..WORLDS).map(Site::numbered).collect();
        compare(2 * round, sites, &mut tally).await;
        compare(2 * round + 1, vec![Site::root()], &mut tally).await;
    }
    println!("{tally}");
    assert!(tally.questions >= WORLDS * QUESTIONS);
    // Mostly, there is nothing to explain.
    assert!(tally.same > tally.questions * 3 / 4, "{tally}");
}

/// Questions by what came of them.
#[derive(Default)]
struct Tally {
    questions: usize,
    /// All three answers are the same octet for octet, but for compression and order.
    same: usize,
    /// By the reason, of a rule or made of the peer and what differs.
    explained: BTreeMap<String, usize>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally {
            questions, same, ..
        } = self;
        writeln!(
            f,
            "{questions} questions, {same} with one answer of all three; else:"
        )?;
        for (reason, count) in &self.explained {
            writeln!(f, "{count:>7} {reason}")?;
        }
        Ok(())
    }
}

/// What came of one question.
enum Outcome {
    Same,
    Explained(Vec<String>),
    Unexplained,
}

async fn compare(seed: u64, sites: Vec<Site>, tally: &mut Tally) {
    let mut runner = runner(seed);
    let worlds: Vec<_> = sites
        .into_iter()
        .map(|site| {
            let tree = world().new_tree(&mut runner).expect("nothing is refused");
            (tree.current().files(&site), site, tree)
        })
        .collect();
    let all: Vec<File> = worlds
        .iter()
        .flat_map(|(files, ..)| files.clone())
        .collect();
    let mut servers = Servers::start(&all).await;
    for (files, site, tree) in worlds {
        for query in queries(&files, QUESTIONS, &mut runner) {
            let answers = servers.ask(&query);
            tally.questions += 1;
            match outcome(&files, &query, &answers) {
                Outcome::Same => tally.same += 1,
                Outcome::Explained(reasons) => {
                    for reason in reasons {
                        *tally.explained.entry(reason).or_default() += 1;
                    }
                }
                Outcome::Unexplained => {
                    drop(servers);
                    panic!("{}", shrink(tree, &site, &query).await);
                }
            }
        }
    }
}

fn runner(seed: u64) -> TestRunner {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// All that answer, from the same files.
struct Servers {
    view: View,
    peers: Vec<Peer>,
    id: u16,
}

struct Answers {
    ours: Response,
    theirs: Vec<(Kind, Response)>,
}

impl Servers {
    async fn start(files: &[File]) -> Self {
        let mut peers = Vec::new();
        for kind in Kind::ALL {
            peers.push(Peer::start(kind, files).await);
        }
        Servers {
            view: view(files),
            peers,
            id: 0,
        }
    }

    fn ask(&mut self, query: &Query) -> Answers {
        self.id = self.id.wrapping_add(1);
        let octets = query.octets(self.id);
        let read = |octets: &[u8]| {
            Response::parse(octets).unwrap_or_else(|error| panic!("{query:?}: {error}"))
        };
        let ours = zones::respond(&self.view, &octets, query.is_udp);
        assert_eq!(ours[..2], octets[..2], "{query:?}");
        assert!(ours[12..].starts_with(query.question()), "{query:?}");
        let ask = |peer: &Peer| (peer.kind, read(&peer.ask(&octets, query.is_udp)));
        Answers {
            ours: read(&ours),
            theirs: self.peers.iter().map(ask).collect(),
        }
    }
}

fn view(files: &[File]) -> View {
    let check = |file: &File| -> (Name, Checked) {
        let checked = zones::check(&file.apex, &file.text);
        let checked = checked.unwrap_or_else(|faults| panic!("{}{faults:#?}", file.text));
        (file.apex.clone(), checked)
    };
    let zones: Vec<(Name, Checked)> = files.iter().map(check).collect();
    zones::view(zones.iter().map(|(apex, checked)| (apex, checked)))
}

fn outcome(files: &[File], query: &Query, answers: &Answers) -> Outcome {
    let ours = &answers.ours;
    let (mut reasons, mut unexplained, mut is_same) = (Vec::new(), Vec::new(), true);
    for (kind, theirs) in &answers.theirs {
        let case = Case {
            files,
            query,
            kind: *kind,
            ours,
            theirs,
        };
        is_same &= ours == theirs;
        match explain(&case) {
            Some(found) => reasons.extend(found.into_iter().map(String::from)),
            None => unexplained.push(format!(
                "{kind:?} alone differs in {}",
                differ(ours, theirs)
            )),
        }
    }
    match unexplained.len() {
        0 if is_same => Outcome::Same,
        // We agree with one of them.
        0 | 1 => {
            reasons.append(&mut unexplained);
            Outcome::Explained(reasons)
        }
        _ => Outcome::Unexplained,
    }
}

fn differ(ours: &Response, theirs: &Response) -> String {
    let parts = [
        (ours.rcode != theirs.rcode, "rcode"),
        (ours.aa != theirs.aa, "AA"),
        (ours.tc != theirs.tc, "TC"),
        (ours.answer != theirs.answer, "answer"),
        (ours.authority != theirs.authority, "authority"),
        (ours.additional != theirs.additional, "additional"),
    ];
    let differing = parts
        .iter()
        .filter(|(is_other, _)| *is_other)
        .map(|(_, part)| *part);
    differing.collect::<Vec<_>>().join(", ")
}

/// Looks for the smallest world with the difference, and tells it.
async fn shrink(mut tree: impl ValueTree<Value = World>, site: &Site, query: &Query) -> String {
    let end = Instant::now() + SHRINK;
    let mut report = String::new();
    loop {
        let files = tree.current().files(site);
        let answers = Servers::start(&files).await.ask(query);
        let is_unexplained = matches!(outcome(&files, query, &answers), Outcome::Unexplained);
        if is_unexplained {
            report = tell(&files, query, &answers);
        }
        let goes_on = if is_unexplained {
            tree.simplify()
        } else {
            tree.complicate()
        };
        if !goes_on || Instant::now() > end {
            return report;
        }
    }
}

fn tell(files: &[File], query: &Query, answers: &Answers) -> String {
    let mut text = format!("an unexplained difference: {query:?}\n");
    for file in files {
        writeln!(text, "; zone {}\n{}", file.apex, file.text).unwrap();
    }
    writeln!(text, "  we answer\n{}", answers.ours).unwrap();
    for (kind, theirs) in &answers.theirs {
        writeln!(text, "  {kind:?} answers\n{theirs}").unwrap();
    }
    text
}
