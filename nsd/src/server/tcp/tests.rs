use tokio::io::AsyncReadExt;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;

use super::frames::write_messages;
use super::*;
use crate::answer::tests::{QUERY, service_without_data};
use crate::answer::{OCTETS_MAX, Reply};
use std::task::{Context, Poll};

fn word(next: &Next) -> &'static str {
    match next {
        Next::Read => "read",
        Next::Flush => "flush",
        Next::Barrier => "barrier",
        Next::Stream(_) => "stream",
        Next::Close => "close",
    }
}

#[test]
fn whole_messages_are_answered_together() {
    let mut output = vec![0; 2 * FRAME_MAX];
    let mut turned = |input: &[u8]| {
        let answered = answer(input, &mut output, |query, out| {
            match query {
                b"" => return Reply::Silent,
                b"later" => return Reply::NeedsConfirmation,
                b"many" => return Reply::Stream(Box::new(Numbered::new(9))),
                _ => {}
            }
            out[..query.len()].copy_from_slice(query);
            out[..query.len()].reverse();
            Reply::Ready(query.len())
        });
        let word = word(&answered.next);
        (output[..answered.made].to_vec(), answered.taken, word)
    };
    assert_eq!(
        turned(b"\0\x02ab\0\x03cde\0\x02f"),
        (b"\0\x02ba\0\x03edc".to_vec(), 9, "read")
    );
    for part in [&b""[..], b"\0", b"\0\x01"] {
        assert_eq!(turned(part), (vec![], 0, "read"));
    }
    // A message without a response ends the connection, after the responses to the others.
    assert_eq!(
        turned(b"\0\x01a\0\0\0\x01b"),
        (b"\0\x01a".to_vec(), 5, "close")
    );
    // A query that needs the barrier is not taken yet.
    assert_eq!(
        turned(b"\0\x01a\0\x05later\0\x01b"),
        (b"\0\x01a".to_vec(), 3, "barrier")
    );
    // A stream goes out before the query behind it is answered.
    assert_eq!(
        turned(b"\0\x01a\0\x04many\0\x01b"),
        (b"\0\x01a".to_vec(), 9, "stream")
    );
}

#[test]
fn the_largest_responses_wait_for_room() {
    let mut output = vec![0; 2 * FRAME_MAX];
    let input = [0, 1, b'a'].repeat(4);
    let answered = answer(&input, &mut output, |_, out| Reply::Ready(out.len()));
    let word = word(&answered.next);
    assert_eq!(
        (answered.taken, answered.made, word),
        (6, 2 * FRAME_MAX, "flush")
    );
}

#[test]
fn a_connection_keeps_only_what_has_to_wait() {
    let mut context = Context::from_waker(std::task::Waker::noop());
    // Room for 8 octets each way.
    let (mut client, mut server) = tokio::io::duplex(8);
    let mut leftovers = Leftovers::default();
    let mut turn = |reads| {
        let echo = |input: &[u8], output: &mut [u8]| {
            answer(input, output, |query, out| {
                out[..query.len()].copy_from_slice(query);
                Reply::Ready(query.len())
            })
        };
        let turn = leftovers.turn(&mut context, Pin::new(&mut server), reads, echo);
        let taken = match turn {
            Poll::Ready(Ok(Some(answered))) => Some(answered.taken),
            _ => None,
        };
        let capacity = [leftovers.input.capacity(), leftovers.output.capacity()];
        (
            taken,
            [leftovers.input.len(), leftovers.output.len()],
            capacity,
        )
    };
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut send = |octets: &[u8]| {
        let sent = Pin::new(&mut client).poll_write(&mut context, octets);
        assert!(matches!(sent, Poll::Ready(Ok(sent)) if sent == octets.len()));
    };
    assert_eq!(turn(true), (None, [0, 0], [0, 0]), "nothing has come");
    send(b"\0\x01a\0\x03b");
    assert_eq!(turn(true), (Some(3), [3, 0], [3, 0]), "half a query waits");
    send(b"cd");
    assert_eq!(turn(true), (Some(5), [0, 0], [0, 0]), "it is answered");
    send(b"\0\x02ef");
    assert_eq!(turn(true), (Some(4), [0, 4], [0, 4]), "nobody reads");
}

#[test]
fn a_query_that_comes_octet_by_octet_is_copied_a_few_times() {
    let mut context = Context::from_waker(std::task::Waker::noop());
    let (mut client, mut server) = tokio::io::duplex(8);
    let mut leftovers = Leftovers::default();
    let (mut looks, mut places) = (0, 0);
    let query = [&b"\x10\0"[..], &[b'x'; 0x1000]].concat();
    for octet in &query {
        let sent = Pin::new(&mut client).poll_write(&mut context, &[*octet]);
        assert!(matches!(sent, Poll::Ready(Ok(1))));
        let before = leftovers.octets();
        let turn = leftovers.turn(&mut context, Pin::new(&mut server), true, |input, _| {
            looks += 1;
            Answered {
                taken: input.len(),
                made: 0,
                next: Next::Read,
            }
        });
        assert!(matches!(turn, Poll::Ready(Ok(Some(_)))));
        places += usize::from(leftovers.octets() != before);
    }
    assert_eq!((looks, leftovers.octets()), (1, 0));
    assert!(places < 20, "it was moved {places} times");
}

#[tokio::test]
async fn connections_in_the_backlog_are_served_at_shutdown() {
    let (_, service) = service_without_data();
    let limit = Duration::from_secs(5);
    let connections = Connections::new(ConnectionLimits::new(1000, limit, limit), Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // These wait in the backlog.
    let query = [b"\0\x11", &QUERY[..]].concat();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.expect("it listens");
        client.write_all(&query).await.expect("sent");
        clients.push(client);
    }
    let counters = Arc::new(Counters::default());
    let stop = CancellationToken::new();
    stop.cancel();
    let listener = StreamListener {
        listener: listener.into(),
        protocol: StreamProtocol::Tcp,
    };
    serve(service, listener, connections, counters, stop).await;
    for mut client in clients {
        let mut response = Vec::new();
        client.read_to_end(&mut response).await.expect("an answer");
        // There are no zones yet: SERVFAIL.
        assert!(response.len() > 5 && response[5] & 15 == 2, "{response:?}");
    }
}

/// Messages that begin with their number and grow, up to the longest.
struct Numbered {
    next: usize,
    end: usize,
}

impl Numbered {
    fn new(end: usize) -> Self {
        Numbered { next: 0, end }
    }

    fn len(number: usize) -> usize {
        (8 + number * 50).min(OCTETS_MAX)
    }
}

impl Messages for Numbered {
    fn write_next(&mut self, out: &mut [u8]) -> Option<usize> {
        let number = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        let len = Numbered::len(number);
        out[..len].fill(number as u8);
        out[..8].copy_from_slice(&number.to_be_bytes());
        Some(len)
    }
}

#[test]
fn messages_are_made_only_while_there_is_room() {
    let mut output = vec![0; 2 * FRAME_MAX];
    let mut messages = Numbered::new(2_000);
    let (mut made, mut calls, mut more) = (0, 0, true);
    while more {
        let octets;
        (octets, more) = write_messages(&mut messages, &mut output);
        assert!(octets > FRAME_MAX || !more);
        made += octets;
        calls += 1;
    }
    let expected: usize = (0..2_000).map(|number| 2 + Numbered::len(number)).sum();
    assert_eq!(made, expected);
    assert!(calls > expected / output.len());
}

/// Serves a connection whose queries are numbers: the response is a stream of as many messages.
fn serve_numbers(
    limits: ConnectionLimits,
) -> (DuplexStream, tokio::task::JoinHandle<io::Result<()>>) {
    // Less than one message.
    let (client, server) = tokio::io::duplex(1 << 12);
    let connections = Connections::new(limits, Arc::default());
    let (barrier, _rounds) = Barrier::new(limits.idle, || std::future::ready(false));
    let served = tokio::spawn(async move {
        let mut seat = connections.seat([192, 0, 2, 1].into()).await;
        let numbers = |_, queries: &[u8], out: &mut [u8]| {
            answer(queries, out, |query, _| {
                let end = query
                    .iter()
                    .fold(0, |end, octet| end << 8 | usize::from(*octet));
                Reply::Stream(Box::new(Numbered::new(end)))
            })
        };
        let stop = CancellationToken::new();
        converse(server, &mut seat, limits, stop, &barrier, numbers).await
    });
    (client, served)
}

#[tokio::test]
async fn streams_arrive_whole_and_in_order() {
    let limit = Duration::from_secs(20);
    let (mut client, served) = serve_numbers(ConnectionLimits::new(10, limit, limit));
    // Two at once: far more than all buffers hold, and a few.
    let counts = [1_500, 3];
    for count in counts {
        let query = [&[0, 2], &(count as u16).to_be_bytes()[..]].concat();
        client.write_all(&query).await.expect("sent");
    }
    for count in counts {
        for number in 0..count {
            let len = client.read_u16().await.expect("a length");
            assert_eq!(usize::from(len), Numbered::len(number));
            let mut message = vec![0; len.into()];
            client.read_exact(&mut message).await.expect("a message");
            assert_eq!(message[..8], number.to_be_bytes());
            assert!(message[8..].iter().all(|octet| *octet == number as u8));
        }
    }
    drop(client);
    served.await.expect("no panic").expect("a proper end");
}

#[tokio::test]
async fn a_client_that_stops_reading_a_stream_is_cut_off() {
    let limit = Duration::from_secs(20);
    let limits = ConnectionLimits {
        write: Duration::from_millis(50),
        ..ConnectionLimits::new(10, limit, limit)
    };
    let (mut client, served) = serve_numbers(limits);
    client.write_all(b"\0\x02\xff\xff").await.expect("sent");
    for _ in 0..10 {
        client.read_u8().await.expect("the stream has begun");
    }
    let ended = timeout(limit, served).await.expect("it ends in time");
    let error = ended.expect("no panic").expect_err("it is cut off");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
