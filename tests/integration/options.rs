//! EDNS options over every transport, asked by other people's clients and by ourselves.

use std::time::Duration;

use domain::base::iana::{OptionCode, Rtype};
use domain::base::opt::UnknownOptData;
use domain::base::{Message, MessageBuilder, Name, Question};
use nsd::answer::Transport;
use tests::transports::Transports;
use tests::{Frontend, Nsctl, Single};
use tokio::process::Command;

const NAME: &str = "www.example.org";

/// The codes of RFC 7828, 7830 and 9660.
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const ZONEVERSION: u16 = 19;

struct Site {
    frontend: Frontend,
    transports: Transports,
    nsctl: Nsctl,
    _etcd: Single,
}

impl Site {
    async fn start() -> Self {
        let etcd = Single::start().await;
        let endpoints = vec![etcd.endpoint().to_string()];
        let nsctl = Nsctl::new(&endpoints);
        nsctl.ok("zone add example.org --ns ns1.example.org").await;
        nsctl.ok("add www.example.org A 192.0.2.1").await;
        let transports = Transports::choose();
        let options = ["--tcp-idle", "12s", "--nsid", "fe1"];
        let frontend = transports.start("fe1", &endpoints, &options).await;
        frontend.ready().await;
        Site {
            frontend,
            transports,
            nsctl,
            _etcd: etcd,
        }
    }

    async fn ask(&self, transport: Transport, message: &[u8]) -> Vec<u8> {
        let response = self.transports.ask(&self.frontend, transport, message);
        response.await.expect("a response")
    }
}

/// A query with these options, each with a value.
fn asking(name: &str, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0);
    let mut question = builder.question();
    let name: Name<Vec<u8>> = name.parse().expect("a name");
    question
        .push(Question::new_in(name, Rtype::A))
        .expect("room");
    let mut additional = question.additional();
    let opt = additional.opt(|opt| {
        opt.set_udp_payload_size(1232);
        for (code, value) in options {
            opt.push(&UnknownOptData::new(OptionCode::from_int(*code), *value).expect("short"))?;
        }
        Ok(())
    });
    opt.expect("room");
    additional.finish()
}

/// The code and the value of each option in a response, read by another library.
fn told(response: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let message = Message::from_octets(response).expect("a message");
    let opt = message.opt().expect("an OPT record");
    let options = opt.opt().iter::<UnknownOptData<_>>();
    let options = options.map(|option| option.expect("an option"));
    let pair = |option: UnknownOptData<&[u8]>| (option.code().to_int(), option.data().to_vec());
    options.map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_tells_what_its_clients_may_ask() {
    let site = Site::start().await;
    let written = site.nsctl.write("add other.example.org A 192.0.2.2").await;
    site.frontend
        .applied(written, Duration::from_secs(20))
        .await;
    let serial = u32::try_from(written).expect("a new store").to_be_bytes();
    let version = [&[2, 0][..], &serial].concat();
    for transport in Transport::ALL {
        let ask = async |name, options| told(&site.ask(transport, &asking(name, options)).await);
        // What nobody asks for is not told.
        assert_eq!(ask(NAME, &[]).await, [], "{transport:?}");

        // RFC 9660: every answer of the zone, and of no other.
        for name in [NAME, "no.example.org"] {
            let sent = ask(name, &[(ZONEVERSION, b"")]).await;
            assert_eq!(sent, [(ZONEVERSION, version.clone())], "{transport:?}");
        }
        let sent = ask("example.net", &[(ZONEVERSION, b"")]).await;
        assert!(
            sent.iter().all(|(code, _)| *code != ZONEVERSION),
            "{sent:?}"
        );

        // RFC 7828: never over UDP; over QUIC it ends the connection (RFC 9250 5.5.2).
        if transport != Transport::Quic {
            let expected = match transport {
                Transport::Tcp | Transport::Tls => vec![(KEEPALIVE, vec![0, 120])],
                _ => vec![],
            };
            assert_eq!(
                ask(NAME, &[(KEEPALIVE, b"")]).await,
                expected,
                "{transport:?}"
            );
        }

        // RFC 7830 and 8467: only where nobody sees what is padded.
        for (name, options) in [
            (NAME, &[(PADDING, &[0; 20][..])][..]),
            (
                "no.example.org",
                &[(PADDING, b""), (3, b""), (ZONEVERSION, b"")],
            ),
            ("example.net", &[(PADDING, b"")]),
        ] {
            let response = site.ask(transport, &asking(name, options)).await;
            let is_padded = told(&response).iter().any(|(code, _)| *code == PADDING);
            assert_eq!(is_padded, transport.is_encrypted(), "{transport:?}");
            assert_eq!(response.len() == 468, is_padded, "{transport:?}");
        }

        // A value where none may be is malformed, and the next query is answered all the same.
        for option in [(KEEPALIVE, &b"\x00\x01"[..]), (ZONEVERSION, b"\x00")] {
            let response = site.ask(transport, &asking(NAME, &[option])).await;
            assert_eq!(response[3] & 15, 1, "{transport:?} {option:?}");
        }
        assert_eq!(ask(NAME, &[]).await, [], "{transport:?}");
    }
    // Over QUIC the client has to know better.
    let asks = asking(NAME, &[(KEEPALIVE, b"")]);
    let response = site.transports.ask(&site.frontend, Transport::Quic, &asks);
    let error = response.await.expect_err("the connection is closed");
    assert!(error.contains("2"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn well_known_clients_read_the_options() {
    let site = Site::start().await;
    let (plain, tls) = (site.frontend.dns.port(), site.transports.tls.port());
    let (https, quic) = (site.transports.https.port(), site.transports.quic.port());
    for (program, arguments, says, is_said) in [
        (
            "kdig",
            format!("-p {tls} +tls +padding"),
            "Received 468 B",
            true,
        ),
        ("kdig", format!("-p {tls} +tls +padding"), "PADDING: ", true),
        (
            "kdig",
            format!("-p {tls} +tls +nopadding"),
            "PADDING: ",
            false,
        ),
        (
            "kdig",
            format!("-p {https} +https +padding"),
            "PADDING: ",
            true,
        ),
        (
            "kdig",
            format!("-p {quic} +quic +padding"),
            "PADDING: ",
            true,
        ),
        (
            "kdig",
            format!("-p {plain} +tcp +padding"),
            "PADDING: ",
            false,
        ),
        ("kdig", format!("-p {plain} +padding"), "PADDING: ", false),
        ("dig", format!("-p {tls} +tls +padding=128"), "PAD: ", true),
        (
            "dig",
            format!("-p {plain} +tcp +keepalive"),
            "TCP KEEPALIVE: 12.0 secs",
            true,
        ),
        (
            "dig",
            format!("-p {tls} +tls +keepalive"),
            "TCP KEEPALIVE: 12.0 secs",
            true,
        ),
        ("dig", format!("-p {plain} +keepalive"), "KEEPALIVE", false),
        (
            "dig",
            format!("-p {plain} +ednsopt=19"),
            "OPT=19: 02 00 ",
            true,
        ),
        (
            "dig",
            format!("-p {tls} +tls +ednsopt=19"),
            "OPT=19: 02 00 ",
            true,
        ),
        (
            "dig",
            format!("-p {plain} +ednsopt=19:00"),
            "status: FORMERR",
            true,
        ),
    ] {
        let arguments = format!("@127.0.0.1 {arguments} {NAME} A");
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).kill_on_drop(true);
        let output = match tokio::time::timeout(Duration::from_secs(20), command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(_)) => {
                tests::skipped!("{program} is not installed: {program} {arguments}");
                continue;
            }
            Err(_) => panic!("{program} {arguments} does not end"),
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        if !printed.contains("status: ") && arguments.contains("+quic") {
            tests::skipped!("this kdig is built without QUIC: {program} {arguments}");
            continue;
        }
        assert_eq!(
            printed.contains(says),
            is_said,
            "{program} {arguments}: {printed}"
        );
        assert!(
            printed.contains("192.0.2.1") || says.contains("FORMERR"),
            "{printed}"
        );
    }
}
