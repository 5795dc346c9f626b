//! Which connection is closed, and when.

use super::*;

fn connections(count: usize) -> Arc<Connections> {
    let idle = Duration::from_secs(10);
    let limits = ConnectionLimits {
        held_octets: 100,
        ..ConnectionLimits::new(count, idle, Duration::ZERO)
    };
    Connections::new(limits, Arc::default())
}

fn client(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// Takes a seat at this time in milliseconds.
fn seat(open: &Arc<Connections>, client: IpAddr, at: u64) -> Option<Seat> {
    open.try_seat(client, at * 1000)
}

/// Sends a query at this time in milliseconds.
fn ask(seat: &Seat, at: u64) {
    seat.pulse.last.store(at * 1000, Ordering::Relaxed);
}

/// Whether it was dismissed.
fn has_to_leave(seat: &Seat) -> bool {
    !seat.connections.lock().staying.contains_key(&seat.number)
}

fn counts(open: &Connections) -> (u64, u64) {
    let seats = open.lock().seats.clone();
    let [taken, dismissed] = [&seats.taken, &seats.dismissed];
    (
        taken.load(Ordering::Relaxed),
        dismissed.load(Ordering::Relaxed),
    )
}

#[tokio::test]
async fn a_full_table_drops_the_connection_that_is_idle_longest() {
    let open = connections(4);
    let seats = (0..4).map(|last| seat(&open, client(last), 10 + u64::from(last)));
    let mut seats: Vec<Seat> = seats.map(|seat| seat.expect("a free seat")).collect();
    // The third has never asked.
    for (index, at) in [(1, 1001), (3, 1002), (0, 1003), (1, 1004)] {
        ask(&seats[index], at);
    }
    let mut newcomers = Vec::new();
    for (leaver, at) in [(2, 2010), (3, 2011), (0, 2012)] {
        let newcomer = client(10 + leaver);
        let newcomer = seat(&open, newcomer, at).expect("a seat");
        let index = seats.iter().position(has_to_leave);
        let dismissed = seats.remove(index.expect("one has to leave"));
        assert_eq!(dismissed.number, u64::from(leaver));
        dismissed.dismissed().await;
        ask(&newcomer, at);
        newcomers.push(newcomer);
    }
    assert_eq!(counts(&open), (4, 3));
}

#[tokio::test]
async fn those_that_leave_are_limited_too() {
    let open = connections(1);
    let mut seats: Vec<Seat> = Vec::new();
    for last in 0..=LEAVING_MAX as u8 {
        seats.push(seat(&open, client(last), u64::from(last)).expect("a seat"));
    }
    assert!(seat(&open, client(100), 100).is_none());
    let (waiting, ()) = tokio::join!(open.seat(client(100)), async {
        seats.remove(0);
    });
    assert_eq!(
        seats.iter().filter(|seat| has_to_leave(seat)).count(),
        LEAVING_MAX
    );
    assert!(!has_to_leave(&waiting));
}

#[test]
fn a_newcomer_has_a_moment_for_its_first_query() {
    let open = connections(4);
    let at = |last, at| seat(&open, client(last), at).expect("a seat");
    let (first, second) = (at(1, 10), at(2, 10));
    let third = at(3, 50);
    let fourth = at(4, 60);
    ask(&first, 61);
    ask(&second, 62);
    let fifth = at(5, 155);
    assert!(has_to_leave(&third), "it never asked");
    ask(&fourth, 156);
    let sixth = at(6, 170);
    assert!(has_to_leave(&first) && !has_to_leave(&fifth));
    let _seventh = at(7, 300);
    assert!(has_to_leave(&fifth) && !has_to_leave(&second));
    assert!(!has_to_leave(&sixth));
}

#[test]
fn in_a_rush_the_client_with_most_connections_makes_room() {
    let open = connections(8);
    let at = |last, at| seat(&open, client(last), at).expect("a seat");
    let _single = at(1, 10);
    let pair = [at(2, 11), at(2, 12)];
    let _others: Vec<Seat> = (3..8).map(|last| at(last, 13)).collect();
    ask(&pair[0], 14);
    let _newcomer = at(9, 20);
    assert!(has_to_leave(&pair[1]) && !has_to_leave(&pair[0]));
}

#[test]
fn a_client_makes_room_for_itself() {
    let open = connections(8);
    let in_network = |network: u128, host: u64| {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) | (network << 64) | u128::from(host)).into()
    };
    let at = |client, at| seat(&open, client, at).expect("a free seat");
    let first = at(in_network(0, 1), 10);
    let second = at(in_network(0, 2), 11);
    let other = at(in_network(1, 1), 12);
    assert!(!has_to_leave(&first), "a quarter is two");
    let third = at(in_network(0, u64::MAX), 13);
    assert!(has_to_leave(&first) && !has_to_leave(&second));
    assert_eq!(counts(&open), (3, 1));
    drop((first, second, third, other));
    let table = open.lock();
    assert!(table.seated == 0 && table.order.is_empty() && table.by_client.is_empty());
    assert!(table.crowds.is_empty());
}

#[test]
fn what_is_kept_for_slow_clients_is_limited() {
    let open = connections(8);
    let at = |last, at| seat(&open, client(last), at).expect("a free seat");
    let mut seats = [at(0, 10), at(1, 11), at(2, 12), at(3, 13)];
    seats[1..].iter_mut().for_each(|seat| seat.hold(30));
    ask(&seats[1], 20);
    seats[3].hold(50);
    assert_eq!(
        seats.each_ref().map(has_to_leave),
        [false, false, true, false]
    );
    assert_eq!(open.lock().held_octets, 80);
    let listed: Vec<u64> = open
        .lock()
        .holders
        .iter()
        .map(|(_, number)| *number)
        .collect();
    assert_eq!(listed.len(), 2, "each once, whatever it was noted with");
    seats[2].hold(0);
    seats[3].hold(1000);
    assert!(has_to_leave(&seats[1]) && !has_to_leave(&seats[3]));
    seats[3].hold(0);
    assert!(open.lock().holders.is_empty());
    drop(seats);
    let table = open.lock();
    assert!(table.held_octets == 0 && table.holders.is_empty());
}

#[tokio::test]
async fn what_several_requests_keep_counts_until_they_are_done() {
    let open = connections(8);
    let held = || open.lock().held_octets;
    let [busy, other] = [1, 2].map(|last| Arc::new(seat(&open, client(last), 10).expect("a seat")));
    // As long as most messages are, and so not counted.
    let short = other.keep(SHORT);
    assert_eq!(held(), 0);
    let mut first = busy.keep(SHORT + 1);
    let second = busy.keep(SHORT + 2);
    assert_eq!(held(), 2 * SHORT + 3);
    first.grow(SHORT + 10);
    assert_eq!(held(), 2 * SHORT + 12);
    drop(first);
    assert_eq!(held(), SHORT + 2);
    // Over the limit for all: the one that is idle longest and keeps some has to leave.
    assert!(!has_to_leave(&busy));
    let large = other.keep(SHORT + 5);
    assert!(has_to_leave(&busy) && !has_to_leave(&other));
    assert_eq!(held(), SHORT + 5);
    drop((second, short, large));
    assert_eq!(held(), 0);
    other.dismiss();
    assert!(has_to_leave(&other));
    assert!(!open.is_busy());
}
