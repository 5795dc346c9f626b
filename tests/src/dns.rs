//! Queries and answers, by NLnet Labs' `domain` and not by our own code.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use domain::base::iana::{OptRcode, Rtype};
use domain::base::message_builder::MessageBuilder;
use domain::base::name::Name;
use domain::base::{Message, ParsedName, ParsedRecord, Question};
use domain::rdata::AllRecordData;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A response, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The id of the query.
    pub id: u16,
    /// The code with its EDNS part, as in `NXDOMAIN`.
    pub rcode: String,
    /// Whether the server is an authority for the name.
    pub aa: bool,
    /// Whether the answer is cut short.
    pub tc: bool,
    /// The question, as in `www.example.org. A`.
    pub question: String,
    /// The answer section, sorted, as in `www.example.org. 300 A 192.0.2.1`.
    pub answers: Vec<String>,
    /// The authority section, the same.
    pub authority: Vec<String>,
    /// The additional section without OPT, the same.
    pub additional: Vec<String>,
    /// The info codes of the extended errors (RFC 8914).
    pub ede: Vec<u16>,
}

/// A query with this id, with EDNS and a size of 1232.
pub fn query(id: u16, name: &str, rtype: Rtype) -> Vec<u8> {
    let name: Name<Vec<u8>> = name
        .parse()
        .unwrap_or_else(|error| panic!("no domain name: {name}: {error}"));
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    let mut question = builder.question();
    question
        .push(Question::new_in(name, rtype))
        .expect("a question fits");
    let mut additional = question.additional();
    additional
        .opt(|opt| {
            opt.set_udp_payload_size(1232);
            Ok(())
        })
        .expect("an OPT record fits");
    additional.finish()
}

/// Asks over UDP, once.
pub async fn udp(server: SocketAddr, name: &str, rtype: Rtype) -> Result<Answer, String> {
    let response = exchange_udp(server, &query(7, name, rtype), PATIENCE).await?;
    parse(
        &response.ok_or_else(|| {
            format!("no answer from {server} for {name} {rtype} within {PATIENCE:?}")
        })?,
    )
}

/// Asks over TCP.
pub async fn tcp(server: SocketAddr, name: &str, rtype: Rtype) -> Result<Answer, String> {
    let asked = async {
        let mut stream = TcpStream::connect(server).await?;
        send_framed(&mut stream, &query(8, name, rtype)).await?;
        receive_framed(&mut stream).await
    };
    match timeout(PATIENCE, asked).await {
        Ok(response) => parse(&response.map_err(|error| format!("{server} over TCP: {error}"))?),
        Err(_) => Err(format!(
            "no answer from {server} over TCP for {name} {rtype} within {PATIENCE:?}"
        )),
    }
}

/// Sends octets over UDP, and returns what comes back; nothing if nothing does.
pub async fn exchange_udp(
    server: SocketAddr,
    message: &[u8],
    patience: Duration,
) -> Result<Option<Vec<u8>>, String> {
    let exchanged = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(server).await?;
        socket.send(message).await?;
        let mut buffer = vec![0; 65_535];
        let length = match timeout(patience, socket.recv(&mut buffer)).await {
            Ok(length) => length?,
            Err(_) => return Ok(None),
        };
        buffer.truncate(length);
        Ok(Some(buffer))
    };
    exchanged
        .await
        .map_err(|error: std::io::Error| format!("{server} over UDP: {error}"))
}

/// Opens a connection from this address, with so small a buffer that what is not read stays with the server.
pub async fn connect_from(source: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.bind(SocketAddr::new(source.into(), 0))?;
    socket.connect(server).await
}

/// Sends a message with its length before it.
pub async fn send_framed(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).expect("a message is at most 65,535 octets");
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).await
}

/// Receives a message with its length before it.
pub async fn receive_framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Takes a response apart. An error where any of it is malformed or something follows the last record.
pub fn parse(octets: &[u8]) -> Result<Answer, String> {
    let fault = |what: &str, error: &dyn std::fmt::Display| {
        format!("malformed {what}: {error}: {octets:02x?}")
    };
    let message = Message::from_octets(octets).map_err(|error| fault("header", &error))?;
    let header = message.header();
    if !header.qr() {
        return Err(fault("header", &"no response"));
    }
    let mut answer = Answer {
        id: header.id(),
        rcode: rcode(message.opt_rcode()),
        aa: header.aa(),
        tc: header.tc(),
        ..Answer::default()
    };
    let mut questions = message.question();
    for question in &mut questions {
        let question = question.map_err(|error| fault("question", &error))?;
        answer.question = format!("{}. {}", question.qname(), question.qtype());
    }
    let mut section = questions
        .answer()
        .map_err(|error| fault("question", &error))?;
    let mut end = 0;
    for (name, lines) in [
        ("answer", &mut answer.answers),
        ("authority", &mut answer.authority),
        ("additional", &mut answer.additional),
    ] {
        for record in &mut section {
            let record = record.map_err(|error| fault(name, &error))?;
            if record.rtype() != Rtype::OPT {
                lines.push(line(&record).map_err(|error| fault(name, &error))?);
            }
        }
        lines.sort();
        end = section.pos();
        match section
            .next_section()
            .map_err(|error| fault(name, &error))?
        {
            Some(next) => section = next,
            None => break,
        }
    }
    if end != octets.len() {
        return Err(fault(
            "message",
            &format!("{} octets after the last record", octets.len() - end),
        ));
    }
    answer.ede = message
        .opt()
        .map(|opt| extended_errors(&opt))
        .unwrap_or_default();
    Ok(answer)
}

fn rcode(code: OptRcode) -> String {
    code.to_mnemonic().map_or_else(
        || code.to_int().to_string(),
        |name| String::from_utf8_lossy(name).into_owned(),
    )
}

fn line(record: &ParsedRecord<'_, &[u8]>) -> Result<String, String> {
    let any = record
        .to_any_record::<AllRecordData<_, ParsedName<_>>>()
        .map_err(|error| error.to_string())?;
    Ok(format!(
        "{}. {} {} {}",
        record.owner(),
        record.ttl().as_secs(),
        record.rtype(),
        any.data()
    ))
}

fn extended_errors(opt: &domain::base::opt::OptRecord<&[u8]>) -> Vec<u16> {
    let options = opt.opt().iter::<domain::base::opt::ExtendedError<_>>();
    options
        .flatten()
        .map(|error| error.code().to_int())
        .collect()
}
