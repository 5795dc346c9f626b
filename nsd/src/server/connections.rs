//! How many connections there are, and who has to go when there are too many.
//!
//! All connection-oriented transports take their seats from one [`Connections`]. A new client is never refused: where all
//! seats are taken, the connection that has been idle longest is closed for it, first of all one that never asked
//! anything. Where connections come so fast that none of them has been idle yet, the client makes room that has most of
//! them. No client has more than a quarter of the seats; beyond that its own connections make room. An IPv6 client is a
//! /64, as a single host has that many addresses.
//!
//! A connection that is in use only writes the time into an atomic of its own. The table notes that later, when it looks
//! for one to close: times only go up, so the first in its order that has not been in use since is the one.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::Seats;

/// A connection is idle once nothing has come for so long: the first query of a new one may be on its way.
const MOMENT: Duration = Duration::from_millis(100);

/// How long the rest of a query may take to come, once it has begun.
const QUERY: Duration = Duration::from_secs(5);

/// How long a client may take to accept its answers.
const WRITE: Duration = Duration::from_secs(10);

/// Octets of unfinished queries, and of answers that clients are slow to accept, kept for all connections together.
const HELD_OCTETS: usize = 32 << 20;

/// How many connections may be about to leave: more only take their seats once some of these have. A newcomer need not
/// wait for the one that makes room for it, which may have to wait for its turn itself.
pub(crate) const LEAVING_MAX: usize = 64;

/// Limits that keep one client, or all of them, from taking everything.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at most.
    pub connections: usize,
    /// Octets at most that connections keep between two steps.
    pub held_octets: usize,
    /// When an idle connection is closed.
    pub idle: Duration,
    /// When one is closed whose query has begun and does not come to its end.
    pub query: Duration,
    /// When one is closed whose client does not accept its answers.
    pub write: Duration,
    /// Grace period for queries in flight at shutdown.
    pub drain: Duration,
}

impl Limits {
    /// The usual limits for so many connections with so much time between two queries.
    pub fn new(connections: usize, idle: Duration, drain: Duration) -> Self {
        Limits {
            connections,
            held_octets: HELD_OCTETS,
            idle,
            query: QUERY.min(idle),
            write: WRITE,
            drain,
        }
    }
}

/// The connections of all listeners.
#[derive(Debug)]
pub struct Connections {
    /// The limits that hold for all of them.
    pub limits: Limits,
    /// Times are counted from here.
    epoch: Instant,
    table: Mutex<Table>,
    /// A seat was given back.
    freed: Notify,
}

/// Where a connection stands in the order in which they are closed: those that never asked first, then by the time of
/// the last sign of life in microseconds, then by number.
type Rank = (bool, u64, u64);

#[derive(Debug, Default)]
struct Table {
    /// All that hold a seat, also those that were told to leave.
    seated: usize,
    /// Those that were not.
    staying: HashMap<u64, Seated>,
    order: BTreeSet<Rank>,
    by_client: HashMap<IpAddr, BTreeSet<Rank>>,
    /// The same clients, by how many connections they have.
    crowds: BTreeSet<(usize, IpAddr)>,
    /// Connections that keep octets, by the time of the last sign of life, as noted last, and by number.
    holders: BTreeSet<(u64, u64)>,
    held_octets: usize,
    next_number: u64,
    /// Where all of this is told.
    seats: Arc<Seats>,
}

#[derive(Debug)]
struct Seated {
    client: IpAddr,
    /// As noted last.
    rank: Rank,
    held_octets: usize,
    /// Where it stands among those that keep octets, if it does.
    holder: Option<(u64, u64)>,
    pulse: Arc<Pulse>,
}

/// What a connection and the table tell each other.
#[derive(Debug, Default)]
struct Pulse {
    /// Microseconds of the last sign of life; 0 as long as there was no query.
    last: AtomicU64,
    leave: Notify,
}

impl Connections {
    /// None yet.
    pub fn new(limits: Limits, seats: Arc<Seats>) -> Arc<Self> {
        let table = Table {
            seats,
            ..Table::default()
        };
        Arc::new(Connections {
            limits,
            // No time is 0, which means never.
            epoch: Instant::now() - Duration::from_micros(1),
            table: table.into(),
            freed: Notify::new(),
        })
    }

    /// A seat for a new connection. Waits where too many others that have to leave have not left yet.
    pub(super) async fn seat(self: &Arc<Self>, client: IpAddr) -> Seat {
        loop {
            // Before the look, so that no seat is missed.
            let freed = self.freed.notified();
            if let Some(seat) = self.try_seat(client, self.now()) {
                return seat;
            }
            freed.await;
        }
    }

    /// Tells others to leave where that has to be.
    fn try_seat(self: &Arc<Self>, client: IpAddr, now: u64) -> Option<Seat> {
        let (client, max) = (network(client), self.limits.connections);
        let table = &mut *self.lock();
        let own = table.by_client.get(&client).map_or(0, BTreeSet::len);
        if own >= max.div_ceil(4) {
            table.dismiss_idlest(Some(client), now);
        }
        if table.staying.len() >= max {
            table.dismiss_idlest(None, now);
        }
        if table.seated >= max + LEAVING_MAX {
            return None;
        }
        let number = table.next_number;
        table.next_number += 1;
        table.seated += 1;
        let (rank, pulse) = ((false, now, number), Arc::new(Pulse::default()));
        let entry = Seated {
            client,
            rank,
            held_octets: 0,
            holder: None,
            pulse: pulse.clone(),
        };
        table.staying.insert(number, entry);
        table.place(client, rank);
        table.seats.taken.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            connections: self.clone(),
            number,
            held_octets: 0,
            pulse,
        })
    }

    /// Closes the connection that has been idle longest, as where the system runs out of something.
    pub(super) fn dismiss_idlest(&self) {
        self.lock().dismiss_idlest(None, self.now());
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a connection counts for.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        client => client,
    }
}

impl Table {
    fn place(&mut self, client: IpAddr, rank: Rank) {
        self.order.insert(rank);
        let own = self.by_client.entry(client).or_default();
        self.crowds.remove(&(own.len(), client));
        own.insert(rank);
        self.crowds.insert((own.len(), client));
    }

    fn displace(&mut self, client: IpAddr, rank: Rank) {
        self.order.remove(&rank);
        if let Some(own) = self.by_client.get_mut(&client) {
            self.crowds.remove(&(own.len(), client));
            own.remove(&rank);
            if own.is_empty() {
                self.by_client.remove(&client);
            } else {
                self.crowds.insert((own.len(), client));
            }
        }
    }

    /// Tells the connection to leave that has been idle longest, of a client's or of all.
    fn dismiss_idlest(&mut self, client: Option<IpAddr>, now: u64) {
        while let Some(rank @ (_, _, number)) = self.first(client, now) {
            let Some(entry) = self.staying.get_mut(&number) else {
                return; // Every rank belongs to an entry.
            };
            let (client, last) = (entry.client, entry.pulse.last.load(Ordering::Relaxed));
            if last <= rank.1 {
                return self.dismiss(number);
            }
            // It was in use since that was noted.
            entry.rank = (true, last, number);
            let rank_now = entry.rank;
            self.displace(client, rank);
            self.place(client, rank_now);
        }
    }

    /// The first to be closed, of a client's or of all, by what is noted.
    fn first(&self, client: Option<IpAddr>, now: u64) -> Option<Rank> {
        let order = match client {
            Some(client) => self.by_client.get(&client)?,
            None => &self.order,
        };
        let is_idle = |rank: &&Rank| now.saturating_sub(rank.1) >= MOMENT.as_micros() as u64;
        let first = order.first().filter(is_idle);
        let first = first.or_else(|| order.range((true, 0, 0)..).next().filter(is_idle));
        first.or_else(|| self.crowd(client)?.first()).copied()
    }

    /// The connections of this client, or of the one that has most of them.
    fn crowd(&self, client: Option<IpAddr>) -> Option<&BTreeSet<Rank>> {
        let most = || self.crowds.last().map(|(_, client)| *client);
        self.by_client.get(&client.or_else(most)?)
    }

    fn dismiss(&mut self, number: u64) {
        if let Some(entry) = self.remove(number) {
            self.seats.dismissed.fetch_add(1, Ordering::Relaxed);
            entry.pulse.leave.notify_one();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Seated> {
        let entry = self.staying.remove(&number)?;
        self.displace(entry.client, entry.rank);
        if let Some(holder) = entry.holder {
            self.holders.remove(&holder);
        }
        self.held_octets -= entry.held_octets;
        self.seats.taken.fetch_sub(1, Ordering::Relaxed);
        Some(entry)
    }

    /// The connection that has been idle longest of all others that keep octets.
    fn idlest_holder(&mut self, but: u64) -> Option<u64> {
        loop {
            let mut holders = self.holders.iter();
            let noted = *holders.find(|(_, number)| *number != but)?;
            let entry = self.staying.get_mut(&noted.1)?;
            let now = (entry.last(), noted.1);
            if now <= noted {
                return Some(noted.1);
            }
            // It was in use since that was noted.
            entry.holder = Some(now);
            self.holders.remove(&noted);
            self.holders.insert(now);
        }
    }
}

impl Seated {
    /// When the connection was in use last, or came.
    fn last(&self) -> u64 {
        self.pulse.last.load(Ordering::Relaxed).max(self.rank.1)
    }
}

/// The right of a connection to be there, as long as this is kept.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    number: u64,
    held_octets: usize,
    pulse: Arc<Pulse>,
}

impl Seat {
    /// A query has come, or the client has accepted an answer.
    pub(super) fn is_in_use(&self) {
        let now = self.connections.now();
        self.pulse.last.store(now, Ordering::Relaxed);
    }

    /// How many octets this connection keeps from now on. Where all keep too many, others that do are closed.
    pub(super) fn hold(&mut self, octets: usize) {
        if octets == self.held_octets {
            return;
        }
        let table = &mut *self.connections.lock();
        let Some(entry) = table.staying.get_mut(&self.number) else {
            return; // It is about to leave.
        };
        entry.held_octets = octets;
        let holder = (octets > 0).then(|| entry.holder.unwrap_or((entry.last(), self.number)));
        if holder != entry.holder {
            if let Some(before) = std::mem::replace(&mut entry.holder, holder) {
                table.holders.remove(&before);
            }
            table.holders.extend(holder);
        }
        table.held_octets = table.held_octets - self.held_octets + octets;
        self.held_octets = octets;
        while table.held_octets > self.connections.limits.held_octets {
            let Some(other) = table.idlest_holder(self.number) else {
                return;
            };
            table.dismiss(other);
        }
    }

    /// Ends when the connection has to make room for another one.
    pub(super) fn is_dismissed(&self) -> impl Future<Output = ()> + Send + use<> {
        let pulse = self.pulse.clone();
        async move { pulse.leave.notified().await }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.remove(self.number);
        table.seated -= 1;
        drop(table);
        self.connections.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
