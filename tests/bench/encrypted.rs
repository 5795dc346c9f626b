//! Answers a second over TLS and HTTPS: this and BIND, in turns, with the same certificate.

use domain::base::iana::Rtype;
use tests::TempDir;
use tests::dns;
use tests::encrypted::Certificate;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::generator;
use crate::net::{self, CLIENT_CORE, Net};
use crate::report::{Report, median, thousands};
use crate::server::{self, Kind};
use crate::store::{self, Store};

const KINDS: [Kind; 2] = [Kind::Ours, Kind::Bind];

/// What dnsperf calls the transports, and we. h2load asks over HTTPS.
const MODES: [(&str, &str); 3] = [("tcp", "TCP"), ("dot", "TLS"), ("", "HTTPS (HTTP/2, POST)")];

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((3, 5), (1, 1));
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 1)?;
    let store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    let folder = TempDir::new();
    let certificate = Certificate::make(folder.path());
    let query = dns::query(0, &format!("ns1.{ZONE}"), Rtype::A);
    let path = folder.path().join("query");
    std::fs::write(&path, query).map_err(|error| error.to_string())?;
    let mut rates = KINDS.map(|_| MODES.map(|_| Vec::new()));
    for _ in 0..rounds {
        for (kind, rates) in KINDS.into_iter().zip(&mut rates) {
            if kind.version().is_none() {
                continue;
            }
            store.thaw();
            let running = server::start_encrypted(kind, &net, &data, &certificate)?;
            if kind != Kind::Ours {
                store.freeze();
            }
            for ((mode, _), rates) in MODES.into_iter().zip(rates) {
                let address = net::address(0);
                rates.push(match mode {
                    "" => generator::h2load(&net, &address, &path, seconds)?,
                    mode => generator::dnsperf(&net, mode, &address, &data, seconds)?,
                });
            }
            drop(running);
        }
    }
    let mut report = Report::new(
        "encrypted",
        "Answers a second over encrypted transports",
        &["transport", "nsd (this)", "BIND", "this is"],
    );
    let [ours, bind] = rates;
    for (((_, name), ours), bind) in MODES.into_iter().zip(ours).zip(bind) {
        let (ours, bind) = (median(&ours), median(&bind));
        report.row([
            name.to_string(),
            thousands(ours),
            thousands(bind),
            format!("{:.2} x", ours / bind),
        ]);
    }
    let bind = Kind::Bind
        .version()
        .unwrap_or_else(|| "not installed".into());
    report.note(format!(
        "By dnsperf, and by h2load with one question over HTTPS; 20 connections that stay open, one core for each side; ECDSA P-256; BIND {bind}."
    ));
    report.write(run)
}
