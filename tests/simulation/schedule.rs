//! What happens in a run: who does what when, and what goes wrong. All of it follows from a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd::client::ImportMode;

/// How many members the cluster has.
pub(crate) const MEMBERS: usize = 3;

/// A run. Its items are numbered, and each is made from the seed and its number alone: without some of them, the others stay as
/// they are.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    /// How long things go wrong.
    pub(crate) trouble: Duration,
    pub(crate) items: Vec<(usize, Item)>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A writer makes a change, after a pause.
    Change {
        writer: usize,
        pause: Duration,
        change: Change,
    },
    /// A writer is killed.
    KillWriter { writer: usize, at: Duration },
    /// An announcer lives for a while.
    Announcer {
        owner: usize,
        address: u8,
        lease: u32,
        from: Duration,
        until: Duration,
        how: Parting,
    },
    /// A front-end starts. After some time it is lost, and another one starts: from the last snapshot, if it saves
    /// any so often, or from nothing.
    FrontEnd {
        from: Duration,
        until: Duration,
        saves: Option<Duration>,
    },
    /// Somebody follows all journals from the start.
    Follower,
    /// At the end, a zone is looked up as it was at an earlier revision: `part` (0 to 1) of the newest one.
    Past { zone: usize, part: f64 },
    /// A client's clock is so many seconds ahead, or behind.
    Clock { client: usize, ahead: i64 },
    /// Journals keep only so many entries.
    SmallJournals { entries: u32 },
    /// Somebody else revokes a lease.
    Revocation { at: Duration },
    /// The network does something to messages, with this likelihood.
    Network(Mishap, f64),
    /// A client and a member cannot talk.
    Cut {
        client: usize,
        member: usize,
        is_refused: bool,
        from: Duration,
        until: Duration,
    },
    /// A member is cut off from the others.
    Isolated {
        member: usize,
        from: Duration,
        until: Duration,
    },
    /// There is no leader.
    NoLeader { from: Duration, until: Duration },
    /// etcd's history is compacted, but for this many revisions.
    Compaction { at: Duration, kept: i64 },
    /// A backup of this many revisions ago is restored; so many revisions are skipped then (`--bump-revision`).
    Restore {
        at: Duration,
        back: i64,
        skipped: i64,
    },
    /// The store is full: writes are refused, deletions are not.
    Full { from: Duration, until: Duration },
}

/// How an announcer ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parting {
    /// It withdraws its records.
    Stops,
    IsKilled,
    /// It stays longer than all trouble, and then stops.
    Stays,
}

/// What the network does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    LosesRequests,
    LosesAnswers,
    IsSlow,
    Repeats,
    Breaks,
    Stalls,
}

/// What a writer does. Zones and owners are numbers of those that there are.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Edits {
        /// What has to be so.
        required: Option<Required>,
        edits: Vec<Edit>,
    },
    ZoneSet {
        zone: usize,
        ttl: u32,
    },
    ZoneAdd {
        zone: usize,
    },
    ZoneRemove {
        zone: usize,
    },
    Import {
        zone: usize,
        mode: ImportMode,
        /// How many names it has.
        names: usize,
        address: u8,
    },
    /// Deletes all generations that are not served.
    Clean {
        zone: usize,
    },
    /// Makes a zone what it was at an earlier revision: `part` (0 to 1) of the newest one; 1 for what it is.
    Rollback {
        zone: usize,
        part: f64,
    },
}

/// A prerequisite of an update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Required {
    pub(crate) zone: usize,
    pub(crate) owner: usize,
    pub(crate) what: What,
}

/// What a name has to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    NameInUse,
    NameNotInUse,
    Addresses,
    /// This address alone, by its last octet.
    Address(u8),
    NoAddresses,
}

/// An edit of one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    pub(crate) zone: usize,
    pub(crate) owner: usize,
    pub(crate) how: How,
    /// The last octet of the address.
    pub(crate) address: u8,
}

/// What is edited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Add,
    Set,
    Remove,
    RemoveAll,
    AddAlias,
}

/// What a schedule has most of.
#[derive(Clone, Copy)]
enum Theme {
    Mixed,
    /// Announcers, whose connections are cut.
    Announcers,
    /// Front-ends that start again from snapshots, while etcd compacts its history.
    Restarts,
    /// A zone that comes and goes below another one.
    ZoneBelow,
    /// Imports that do not fit into a transaction.
    LargeImports,
}

/// An import with so many names does not fit into a transaction.
const MANY: usize = 130;

impl Schedule {
    /// The schedule of a seed, without some of its items.
    pub(crate) fn new(seed: u64, without: &BTreeSet<usize>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let trouble = Duration::from_millis(random.u64(500..6_000));
        let theme = match random.u8(..100) {
            0..1 => Theme::LargeImports,
            1..13 => Theme::Announcers,
            13..18 => Theme::Restarts,
            18..23 => Theme::ZoneBelow,
            _ => Theme::Mixed,
        };
        let mut kinds = Vec::new();
        let writers = match theme {
            Theme::Announcers => random.usize(..2),
            _ => random.usize(1..=3),
        };
        for writer in 0..writers {
            kinds.extend(vec![Kind::Change(writer); random.usize(1..=5)]);
            kinds.extend(pick(&mut random, 0.1).then_some(Kind::KillWriter(writer)));
        }
        let announcers = match theme {
            Theme::Announcers => random.usize(1..=3),
            _ => random.usize(..3),
        };
        kinds.extend(vec![Kind::Announcer; announcers]);
        for _ in 0..random.usize(1..=2) {
            kinds.push(Kind::FrontEnd);
        }
        for fault in [
            Mishap::LosesRequests,
            Mishap::LosesAnswers,
            Mishap::IsSlow,
            Mishap::Repeats,
            Mishap::Breaks,
            Mishap::Stalls,
        ] {
            kinds.extend(pick(&mut random, 0.3).then_some(Kind::Network(fault)));
        }
        let (cuts, compactions) = match theme {
            Theme::Announcers => (6, 3),
            Theme::Restarts => (3, 8),
            _ => (3, 3),
        };
        for (kind, most) in [
            (Kind::Cut, cuts),
            (Kind::Isolated, 2),
            (Kind::NoLeader, 2),
            (Kind::Compaction, compactions),
        ] {
            // A theme always has most of what it is about.
            if random.bool() || most > 3 {
                kinds.extend(vec![kind; random.usize(1..=most)]);
            }
        }
        for (kind, likelihood) in [
            (Kind::Restore, 0.05),
            (Kind::Revocation, 0.1),
            (Kind::Full, 0.05),
            (Kind::Clock, 0.1),
            (Kind::SmallJournals, 0.05),
            (Kind::Follower, 0.3),
            (Kind::Past, 0.5),
        ] {
            kinds.extend(pick(&mut random, likelihood).then_some(kind));
        }
        let client = |(number, kind): (usize, &Kind)| match (kind, theme) {
            (Kind::Announcer, _) => Some(number),
            (_, Theme::Announcers) => None,
            (Kind::FrontEnd | Kind::Follower, _) => Some(number),
            _ => None,
        };
        let clients = kinds.iter().enumerate().filter_map(client);
        let clients: Vec<usize> = match theme {
            Theme::Announcers => clients.collect(),
            _ => (0..writers).chain(clients).collect(),
        };
        let items = kinds.into_iter().enumerate();
        let items = items.filter(|(number, _)| !without.contains(number));
        let items = items.map(|(number, kind)| {
            let mut random = fastrand::Rng::with_seed(seed ^ (number as u64 + 1) << 40);
            (number, kind.item(&mut random, trouble, &clients, theme))
        });
        Schedule {
            seed,
            trouble,
            items: items.collect(),
        }
    }
}

impl Schedule {
    /// How long it may take after the last trouble until leases have expired and late messages have arrived.
    pub(crate) fn aftermath(&self) -> Duration {
        let leases = self.items.iter().filter_map(|(_, item)| match item {
            Item::Announcer { lease, .. } => Some(lease + 2),
            _ => None,
        });
        let late = self.items.iter().map(|(_, item)| match item {
            Item::Network(Mishap::IsSlow | Mishap::Repeats, _) => 3,
            _ => 0,
        });
        let seconds = leases.max().unwrap_or(1) + late.sum::<u32>();
        Duration::from_secs(seconds.into())
    }
}

fn pick(random: &mut fastrand::Rng, likelihood: f64) -> bool {
    random.f64() < likelihood
}

/// The kind of an item.
#[derive(Clone, Copy)]
enum Kind {
    Change(usize),
    KillWriter(usize),
    Announcer,
    FrontEnd,
    Follower,
    Past,
    Revocation,
    Network(Mishap),
    Cut,
    Isolated,
    NoLeader,
    Compaction,
    Restore,
    Full,
    Clock,
    SmallJournals,
}

impl Kind {
    fn item(
        self,
        random: &mut fastrand::Rng,
        trouble: Duration,
        clients: &[usize],
        theme: Theme,
    ) -> Item {
        let at = |random: &mut fastrand::Rng| trouble.mul_f64(random.f64());
        let from = at(random);
        let until = from + (trouble - from).mul_f64(random.f64());
        match self {
            Kind::Change(writer) => Item::Change {
                writer,
                // Often several at the same time.
                pause: trouble.mul_f64(random.f64().powi(3) / 3.0),
                change: Change::random(random, theme),
            },
            Kind::KillWriter(writer) => Item::KillWriter { writer, at: from },
            Kind::Announcer => Item::Announcer {
                owner: match theme {
                    Theme::ZoneBelow => BELOW,
                    _ => random.usize(..OWNERS),
                },
                address: random.u8(100..110),
                lease: random.u32(2..5),
                from,
                until,
                how: match random.u8(..4) {
                    0 | 1 => Parting::Stops,
                    2 => Parting::IsKilled,
                    _ => Parting::Stays,
                },
            },
            Kind::FrontEnd => Item::FrontEnd {
                from: from.mul_f64(0.3),
                until,
                saves: match theme {
                    Theme::Restarts => Some(trouble.mul_f64(random.f64() / 20.0)),
                    _ => random.bool().then(|| trouble.mul_f64(random.f64() / 3.0)),
                },
            },
            Kind::Follower => Item::Follower,
            Kind::Past => Item::Past {
                zone: random.usize(..ZONES),
                part: random.f64(),
            },
            Kind::Revocation => Item::Revocation { at: from },
            Kind::Network(fault) => Item::Network(fault, random.f64().powi(2) * 0.3),
            Kind::Cut => Item::Cut {
                client: clients[random.usize(..clients.len())],
                member: random.usize(..MEMBERS),
                is_refused: random.bool(),
                from,
                until,
            },
            Kind::Isolated => Item::Isolated {
                member: random.usize(..MEMBERS),
                from,
                until,
            },
            Kind::NoLeader => Item::NoLeader {
                from,
                until: from + (until - from) / 3,
            },
            Kind::Compaction => Item::Compaction {
                at: from,
                kept: random.i64(0..4),
            },
            Kind::Restore => Item::Restore {
                at: from,
                back: random.i64(1..6),
                skipped: if random.bool() { 50 } else { 0 },
            },
            Kind::Full => Item::Full { from, until },
            Kind::Clock => Item::Clock {
                client: clients[random.usize(..clients.len())],
                ahead: match random.bool() {
                    true => random.i64(-7_200..7_200),
                    // Some entries of the journal are older than it keeps them, by this clock.
                    false => random.i64(-60..60) * 86_400,
                },
            },
            Kind::SmallJournals => Item::SmallJournals {
                entries: random.u32(2..12),
            },
        }
    }
}

/// The zone below the first one, and its apex as an owner there.
const BELOW_ZONE: usize = 2;
const BELOW: usize = 1;

/// How many zones and owners changes are about: few, so that they meet.
const ZONES: usize = 3;
pub(crate) const OWNERS: usize = 3;

impl Change {
    fn random(random: &mut fastrand::Rng, theme: Theme) -> Self {
        // Most are about the first zone.
        let zone = |random: &mut fastrand::Rng| random.usize(..ZONES).min(random.usize(..ZONES));
        if let Theme::ZoneBelow = theme {
            return match random.u8(..8) {
                0 | 1 => Change::ZoneAdd { zone: BELOW_ZONE },
                2 | 3 => Change::ZoneRemove { zone: BELOW_ZONE },
                4 => Change::Import {
                    zone: BELOW_ZONE,
                    mode: ImportMode::Merge,
                    names: random.usize(..3),
                    address: random.u8(..4),
                },
                _ => {
                    let edit = Edit::random(random);
                    let edit = match random.bool() {
                        true => Edit {
                            zone: 0,
                            owner: BELOW,
                            ..edit
                        },
                        false => Edit {
                            zone: BELOW_ZONE,
                            ..edit
                        },
                    };
                    Change::Edits {
                        required: Required::random(random),
                        edits: vec![edit],
                    }
                }
            };
        }
        let kind = match theme {
            // Those that stage a generation, switch to one, or delete some.
            Theme::LargeImports if random.bool() => random.u8(15..21),
            _ => random.u8(..21),
        };
        match kind {
            0..3 if matches!(theme, Theme::LargeImports) => {
                let (zone, edit) = (zone(random), Edit::random(random));
                let edits = (0..MANY).map(|owner| Edit {
                    zone,
                    owner,
                    how: How::Set,
                    ..edit
                });
                Change::Edits {
                    required: Required::random(random),
                    edits: edits.collect(),
                }
            }
            0..12 => Change::Edits {
                required: Required::random(random),
                edits: vec![Edit::random(random)],
            },
            12..14 => {
                let count = random.usize(2..5);
                Change::Edits {
                    required: Required::random(random),
                    edits: (0..count).map(|_| Edit::random(random)).collect(),
                }
            }
            14 => Change::ZoneSet {
                zone: zone(random),
                ttl: random.u32(60..70),
            },
            15 => Change::ZoneAdd { zone: zone(random) },
            16 => Change::ZoneRemove { zone: zone(random) },
            17 => Change::Clean { zone: zone(random) },
            18 => Change::Rollback {
                zone: zone(random),
                part: (1.3 * random.f64()).min(1.0),
            },
            _ => Change::Import {
                zone: zone(random),
                mode: match random.bool() {
                    true => ImportMode::Merge,
                    false => ImportMode::Replace,
                },
                names: match theme {
                    Theme::LargeImports => MANY,
                    _ => random.usize(..3),
                },
                address: random.u8(..4),
            },
        }
    }
}

impl Required {
    /// Mostly, nothing is required.
    fn random(random: &mut fastrand::Rng) -> Option<Self> {
        let what = match random.u8(..20) {
            0 => What::NameInUse,
            1 => What::NameNotInUse,
            2 => What::Addresses,
            3 => What::Address(random.u8(..4)),
            4 => What::NoAddresses,
            _ => return None,
        };
        Some(Required {
            zone: random.usize(..ZONES).min(random.usize(..ZONES)),
            owner: random.usize(..OWNERS),
            what,
        })
    }
}

impl Edit {
    fn random(random: &mut fastrand::Rng) -> Self {
        Edit {
            zone: random.usize(..ZONES).min(random.usize(..ZONES)),
            owner: random.usize(..OWNERS),
            how: match random.u8(..16) {
                0..6 => How::Add,
                6..10 => How::Set,
                10..13 => How::Remove,
                13..15 => How::RemoveAll,
                _ => How::AddAlias,
            },
            address: random.u8(..4),
        }
    }
}
