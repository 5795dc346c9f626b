//! Limits the number of connections, and chooses which to close when there are too many.
//!
//! All connection-oriented transports share one [`Connections`], where each connection takes a seat. A new client is
//! never refused. If all seats are taken, a connection is closed: one that never sent a query if there is any,
//! otherwise the one that has been idle longest. If connections come so fast that none is idle yet, the client with
//! most of them loses one. No client has more than a quarter of the seats: its next connection closes one of its own.
//! An IPv6 client is a /64, since a single host has that many addresses.
//!
//! A connection in use only writes the time into its own atomic. The table reads it later, when it looks for a
//! connection to close. Times only go up, so the first connection in the table's order whose time has not changed is
//! the right one.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::Seats;

/// A connection counts as idle after this time without a query. A new one
/// has this long to send its first query.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// The time limit for the rest of a query, once it has begun.
const QUERY: Duration = Duration::from_secs(5);

/// The time limit for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The time limit for a client to accept its responses.
const WRITE: Duration = Duration::from_secs(10);

/// The limit for what all connections together keep: unfinished queries, and responses that clients do not accept yet.
const HELD_OCTETS: usize = 32 << 20;

/// Messages up to this length do not count as kept: a connection has few of them at a time, and each would take the lock.
const SHORT: usize = 4 << 10;

/// How many connections may be closing beyond the limit. A connection closes only when its task runs next; the one
/// that replaces it does not wait for that.
pub(crate) const LEAVING_MAX: usize = 64;

/// Limits on the resources that connections take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most connections.
    pub connections: usize,
    /// The most octets that all connections keep together.
    pub held_octets: usize,
    /// How long a connection may be idle.
    pub idle: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the rest of a query may take.
    pub query: Duration,
    /// How long a client may take to accept its responses.
    pub write: Duration,
    /// Grace period for queries in flight at shutdown.
    pub drain: Duration,
}

impl ConnectionLimits {
    /// The usual limits, for these values of `connections`, `idle` and `drain`.
    pub fn new(connections: usize, idle: Duration, drain: Duration) -> Self {
        ConnectionLimits {
            connections,
            held_octets: HELD_OCTETS,
            idle,
            handshake: HANDSHAKE,
            query: QUERY.min(idle),
            write: WRITE,
            drain,
        }
    }
}

/// The connections of all listeners.
#[derive(Debug)]
pub struct Connections {
    /// The limits.
    pub limits: ConnectionLimits,
    /// The moment that times are counted from.
    epoch: Instant,
    table: Mutex<Table>,
    /// Notified when a seat becomes free.
    freed: Notify,
}

/// The order in which connections are closed: those without a query first, then by the time of the last use in
/// microseconds, then by number.
type Rank = (bool, u64, u64);

#[derive(Debug, Default)]
struct Table {
    /// The number of connections with a seat, closing ones included.
    seated: usize,
    /// Those that are not closing, by number.
    staying: HashMap<u64, Seated>,
    order: BTreeSet<Rank>,
    by_client: HashMap<IpAddr, BTreeSet<Rank>>,
    /// The clients by their number of connections.
    crowds: BTreeSet<(usize, IpAddr)>,
    /// Connections that keep octets, by the time of their last use as far as the table knows, and by number.
    holders: BTreeSet<(u64, u64)>,
    held_octets: usize,
    next_number: u64,
    /// The metrics.
    seats: Arc<Seats>,
}

#[derive(Debug)]
struct Seated {
    client: IpAddr,
    /// As far as the table knows.
    rank: Rank,
    held_octets: usize,
    /// Its place in `holders`, if it keeps octets.
    holder: Option<(u64, u64)>,
    pulse: Arc<Pulse>,
}

/// Shared by a connection and the table.
#[derive(Debug, Default)]
struct Pulse {
    /// The time of the last use in microseconds; 0 before the first query.
    last: AtomicU64,
    leave: Notify,
}

impl Connections {
    /// A table without connections.
    pub fn new(limits: ConnectionLimits, seats: Arc<Seats>) -> Arc<Self> {
        let table = Table {
            seats,
            ..Table::default()
        };
        Arc::new(Connections {
            limits,
            // So that no time is 0, which means never.
            epoch: Instant::now() - Duration::from_micros(1),
            table: table.into(),
            freed: Notify::new(),
        })
    }

    /// Takes a seat for a new connection. Waits while too many others are closing.
    pub(super) async fn seat(self: &Arc<Self>, client: IpAddr) -> Seat {
        loop {
            // Subscribe before the attempt, so that no free seat is missed.
            let freed = self.freed.notified();
            if let Some(seat) = self.try_seat(client, self.now()) {
                return seat;
            }
            freed.await;
        }
    }

    /// Takes a seat, and dismisses other connections as needed. `None` while too many are closing.
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
            began: now,
            held_octets: 0,
            pulse,
        })
    }

    /// Whether at least half of the seats are taken.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().staying.len() * 2 >= self.limits.connections
    }

    /// Closes the connection that has been idle longest, to free resources.
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

/// The client that a connection counts for.
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

    /// Dismisses the connection that has been idle longest, among a client's or among all.
    fn dismiss_idlest(&mut self, client: Option<IpAddr>, now: u64) {
        while let Some(rank @ (_, _, number)) = self.first(client, now) {
            let Some(entry) = self.staying.get_mut(&number) else {
                return; // Cannot be: every rank has an entry.
            };
            let (client, last) = (entry.client, entry.pulse.last.load(Ordering::Relaxed));
            if last <= rank.1 {
                return self.dismiss(number);
            }
            // It was used in the meantime.
            entry.rank = (true, last, number);
            let rank_now = entry.rank;
            self.displace(client, rank);
            self.place(client, rank_now);
        }
    }

    /// The first to close, among a client's or among all, as far as the table knows.
    fn first(&self, client: Option<IpAddr>, now: u64) -> Option<Rank> {
        let order = match client {
            Some(client) => self.by_client.get(&client)?,
            None => &self.order,
        };
        let is_idle = |rank: &&Rank| now.saturating_sub(rank.1) >= IDLE_AFTER.as_micros() as u64;
        let first = order.first().filter(is_idle);
        let first = first.or_else(|| order.range((true, 0, 0)..).next().filter(is_idle));
        first.or_else(|| self.crowd(client)?.first()).copied()
    }

    /// The connections of this client, or of the client with most of them.
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

    /// The connection that has been idle longest of those that keep octets, except `but`.
    fn idlest_holder(&mut self, but: u64) -> Option<u64> {
        loop {
            let mut holders = self.holders.iter();
            let noted = *holders.find(|(_, number)| *number != but)?;
            let entry = self.staying.get_mut(&noted.1)?;
            let now = (entry.last(), noted.1);
            if now <= noted {
                return Some(noted.1);
            }
            // It was used in the meantime.
            entry.holder = Some(now);
            self.holders.remove(&noted);
            self.holders.insert(now);
        }
    }
}

impl Seated {
    /// The time of the last use, or of the start.
    fn last(&self) -> u64 {
        self.pulse.last.load(Ordering::Relaxed).max(self.rank.1)
    }
}

/// The seat of a connection. Dropping it frees the seat.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    number: u64,
    /// When it was taken, in microseconds.
    began: u64,
    held_octets: usize,
    pulse: Arc<Pulse>,
}

impl Seat {
    /// Records a use: a query has come, or the client has accepted a response.
    pub(super) fn mark_used(&self) {
        let now = self.connections.now();
        self.pulse.last.store(now, Ordering::Relaxed);
    }

    /// The moment of the last use; that of the start before the first one.
    pub(super) fn last_used(&self) -> Instant {
        let last = self.pulse.last.load(Ordering::Relaxed).max(self.began);
        self.connections.epoch + Duration::from_micros(last)
    }

    /// Sets how many octets this connection keeps. If all keep too many, others that keep some are closed.
    pub(super) fn hold(&mut self, octets: usize) {
        if octets != self.held_octets {
            self.held_octets = octets;
            self.change_held(|_| octets);
        }
    }

    /// Keeps this many octets more until the result is dropped. For connections on which several requests are open.
    pub(super) fn keep(self: &Arc<Self>, octets: usize) -> Kept {
        let mut kept = Kept {
            seat: self.clone(),
            octets: 0,
        };
        kept.grow(octets);
        kept
    }

    fn change_held(&self, change: impl FnOnce(usize) -> usize) {
        let table = &mut *self.connections.lock();
        let Some(entry) = table.staying.get_mut(&self.number) else {
            return; // It is closing.
        };
        let before = entry.held_octets;
        let octets = change(before);
        entry.held_octets = octets;
        let holder = (octets > 0).then(|| entry.holder.unwrap_or((entry.last(), self.number)));
        if holder != entry.holder {
            if let Some(noted) = std::mem::replace(&mut entry.holder, holder) {
                table.holders.remove(&noted);
            }
            table.holders.extend(holder);
        }
        table.held_octets = table.held_octets - before + octets;
        while table.held_octets > self.connections.limits.held_octets {
            let Some(other) = table.idlest_holder(self.number) else {
                return;
            };
            table.dismiss(other);
        }
    }

    /// Closes the connection.
    pub(super) fn dismiss(&self) {
        self.connections.lock().dismiss(self.number);
    }

    /// Completes when the connection has to close, to make room for another one.
    pub(super) fn dismissed(&self) -> impl Future<Output = ()> + Send + use<> {
        let pulse = self.pulse.clone();
        async move { pulse.leave.notified().await }
    }
}

/// Octets that a connection keeps until this is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    seat: Arc<Seat>,
    octets: usize,
}

impl Kept {
    /// Keeps this many octets in all. What is as short as most messages does not count.
    pub(super) fn grow(&mut self, octets: usize) {
        let (before, octets) = (self.octets, if octets > SHORT { octets } else { 0 });
        if octets != before {
            self.octets = octets;
            self.seat.change_held(|held| held - before + octets);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.grow(0);
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
