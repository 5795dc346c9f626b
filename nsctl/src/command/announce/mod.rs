//! `announce`.

mod check;
mod child;

use std::time::Duration;

use etcd::client::{AnnouncementNews, announce as keep_announced};
use etcd::schema::Instance;
use etcd::txn::{Announced, Announcement, Lease};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::check::Check;
use self::child::Child;
use crate::arguments::{Announce, Output};
use crate::context::Context;
use crate::error::Error;
use crate::{output, rdata};

/// Whether the records should be announced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The check has not passed yet, or fails.
    No,
    Yes,
    /// Never again.
    End,
}

/// Why an announcement ends.
enum End {
    Signal(SignalKind),
    /// The command has ended.
    Child(Result<(), Error>),
}

/// News for programs, as printed.
#[derive(Serialize)]
struct News<'n> {
    event: &'n str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    announced: Option<AnnouncedRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What is announced, with the fields that `list` has.
#[derive(Serialize)]
struct AnnouncedRow {
    name: String,
    ttl: u32,
    #[serde(rename = "type")]
    rtype: String,
    rdata: Vec<String>,
    zone: String,
    /// The lifetime of the lease, in seconds.
    lease: u32,
    instance: String,
}

pub(super) async fn announce(context: &Context, announce: Announce) -> Result<(), Error> {
    let check = Check::of(&announce.check)?;
    let announcement = Announcement {
        zone: announce.zone,
        owner: announce.name,
        rtype: announce.rtype,
        ttl: announce.ttl,
        rdata: rdata::records(announce.rtype, &announce.rdata).map_err(|error| {
            let text = format!("{error} (a command to run comes after --)");
            error.because(text)
        })?,
        instance: Instance(fastrand::u64(..)),
    };
    refuse_early(context, &announcement, announce.lease).await?;
    let mut signals = Signals::listen()?;
    let mut child = Child::start(&announce.command)?;
    let (wanted, want) = watch::channel(Wanted::No);
    let announcing = announce_while_wanted(context, &announcement, announce.lease, want);
    tokio::pin!(announcing);
    let end = tokio::select! {
        signal = signals.next() => End::Signal(signal),
        ended = child.ended() => End::Child(ended),
        never = follow_check(context, check, announce.check_interval, &wanted) => match never {},
        // It ends only when it is told to.
        () = &mut announcing => return Ok(()),
    };
    wanted.send_replace(Wanted::End);
    // Clients must not be sent to a command that is about to end.
    tokio::select! {
        () = &mut announcing => {}
        _ = signals.next() => {
            child.kill();
            // Clients would be sent to nobody until the lease expires. It takes some seconds at most.
            announcing.as_mut().await;
        }
    }
    let signal = match end {
        End::Child(ended) => return ended,
        End::Signal(signal) => signal,
    };
    child.pass_on(signal);
    tokio::select! {
        ended = child.stopped(signal) => ended,
        _ = signals.next() => {
            child.kill();
            child.stopped(signal).await
        }
    }
}

/// How long etcd may take before anything is started.
const EARLY: Duration = Duration::from_secs(2);

/// Asks etcd whether the rules of zones allow the records. If etcd does not answer, the command starts all the same, and the
/// announcer reports the trouble.
async fn refuse_early(
    context: &Context,
    announcement: &Announcement,
    seconds: u32,
) -> Result<(), Error> {
    let lease = Lease {
        id: 0,
        ttl: seconds,
    };
    let store = context.store().with_timeout(EARLY.min(context.timeout));
    let tried = store.dry_run().announce(announcement, lease).await;
    match tried {
        Err(error) if error.refusal().is_some() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Announces whenever it is wanted, and withdraws whenever it no longer is.
async fn announce_while_wanted(
    context: &Context,
    announcement: &Announcement,
    seconds: u32,
    mut want: watch::Receiver<Wanted>,
) {
    loop {
        match want.wait_for(|wanted| *wanted != Wanted::No).await {
            Ok(wanted) if *wanted == Wanted::Yes => {}
            _ => return,
        }
        let mut until = want.clone();
        let stop = async move {
            // An error means that nobody wants it any more.
            let _ = until.wait_for(|wanted| *wanted != Wanted::Yes).await;
        };
        let tell = |news| report(context, announcement, news);
        keep_announced(&context.store(), announcement.clone(), seconds, stop, tell).await;
    }
}

/// Follows a check for ever; without one, the records are always wanted.
async fn follow_check(
    context: &Context,
    check: Option<Check>,
    interval: Duration,
    wanted: &watch::Sender<Wanted>,
) -> std::convert::Infallible {
    let Some(check) = check else {
        wanted.send_replace(Wanted::Yes);
        return std::future::pending().await;
    };
    check
        .follow(interval, |result| {
            let (event, text, reason, now) = match result {
                Ok(()) => ("check-passed", "the check passes".into(), None, Wanted::Yes),
                Err(reason) => (
                    "check-failed",
                    format!("the check fails: {reason}"),
                    Some(reason),
                    Wanted::No,
                ),
            };
            tell(
                context,
                &text,
                News {
                    reason,
                    ..News::of(event)
                },
            );
            wanted.send_replace(now);
        })
        .await
}

fn report(context: &Context, announcement: &Announcement, news: AnnouncementNews) {
    match news {
        AnnouncementNews::Announced(Announced { zone, leased, .. }) => {
            let Announcement { owner, rtype, .. } = announcement;
            let (ttl, seconds) = (leased.rrset.ttl(), leased.lease);
            let rdata = leased.rrset.rdata().iter().map(|rdata| rdata.text(*rtype));
            let rdata: Vec<String> = rdata.collect();
            let lines = rdata
                .iter()
                .map(|rdata| format!("{owner} {ttl} {rtype} {rdata}"));
            let text = format!(
                "announced in zone {zone} with a lease of {seconds}s: {}",
                lines.collect::<Vec<_>>().join(", ")
            );
            if announcement.ttl.is_some_and(|wanted| wanted > ttl) {
                output::warning(format!(
                    "the TTL is that of the lease, {ttl}s: it cannot be longer"
                ));
            }
            let row = AnnouncedRow {
                name: owner.to_string(),
                ttl,
                rtype: rtype.to_string(),
                rdata,
                zone: zone.to_string(),
                lease: seconds,
                instance: announcement.instance.to_string(),
            };
            let news = News {
                announced: Some(row),
                ..News::of("announced")
            };
            tell(context, &text, news);
        }
        AnnouncementNews::Refused(error) => {
            let text = format!("not announced: {error}; trying again");
            tell(context, &text, News::because("refused", &error));
        }
        AnnouncementNews::Lost {
            error,
            may_be_there,
        } => {
            let text = match may_be_there {
                true => format!(
                    "cannot keep the lease alive: {error}; trying again. What is announced stays until the lease expires"
                ),
                false => format!("not announced: {error}; trying again"),
            };
            tell(context, &text, News::because("lost", &error));
        }
        AnnouncementNews::Back => {
            tell(context, "the lease is kept alive again", News::of("back"));
        }
        AnnouncementNews::Withdrawn(Ok(())) => {
            tell(context, "withdrawn", News::of("withdrawn"));
        }
        AnnouncementNews::Withdrawn(Err(error)) => {
            let text = format!("cannot withdraw: {error}. The records go when the lease expires");
            tell(context, &text, News::because("not-withdrawn", &error));
        }
    }
}

impl<'n> News<'n> {
    fn of(event: &'n str) -> Self {
        News {
            event,
            announced: None,
            reason: None,
        }
    }

    fn because(event: &'n str, reason: &impl ToString) -> Self {
        News {
            reason: Some(reason.to_string()),
            ..News::of(event)
        }
    }
}

/// Tells people on stderr, as standard output is the command's; and programs on standard output.
fn tell(context: &Context, text: &str, news: News<'_>) {
    match context.output {
        Output::Table => output::error(text),
        // What cannot be printed must not end an announcement.
        Output::Json => drop(output::json_line(&news)),
    }
}

/// The signals that end an announcement.
struct Signals([(SignalKind, Signal); 3]);

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| -> Result<_, Error> {
            let signal = signal(kind).map_err(Error::failed)?;
            Ok((kind, signal))
        };
        Ok(Signals([
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) -> SignalKind {
        let [(one, first), (two, second), (three, third)] = &mut self.0;
        tokio::select! {
            _ = first.recv() => *one,
            _ = second.recv() => *two,
            _ = third.recv() => *three,
        }
    }
}
