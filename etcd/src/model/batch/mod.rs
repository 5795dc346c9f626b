//! Updates as text, in the words of nsupdate and with the tokens of master files.
//!
//! ```text
//! $ORIGIN example.org.
//! $TTL 1h
//! prereq nxrrset www A            ; only if www has no addresses yet
//! add www A 192.0.2.1
//! add www 300 AAAA 2001:db8::1
//! set mail MX 10 mx1              ; all MX records that mail has from now on:
//! set mail MX 20 mx2              ; lines with the same name and type belong together
//! set mail 600 MX                 ; only the TTL
//! del old                         ; all records
//! del www TXT
//! del www A 192.0.2.9
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::name::{self, Name};
use super::rdata::Rdata;
use super::rrset::TTL_MAX;
use super::rtype::Rtype;
use super::text::{self, Entries, Position, Token};
use super::time::period;
use super::update::{Change, Edit, Prerequisite, Update};
use super::zonefile::{FileFinding, FilePosition, byte_order_mark, is_other_class};

/// An update that was read from a text.
#[derive(Debug, Default)]
pub struct Batch {
    /// The update.
    pub update: Update,
    /// The zone that a `zone` statement names.
    pub zone: Option<Name>,
    /// Where each prerequisite begins.
    pub prerequisites_at: Vec<FilePosition>,
    /// Where each edit begins.
    pub edits_at: Vec<FilePosition>,
}

/// Reads an update. Names that are not absolute end in the root until a line sets `$ORIGIN`. Returns all errors, not only
/// the first.
pub fn read_batch(file: &str, mut text: &[u8]) -> Result<Batch, Vec<FileFinding>> {
    let mut reader = Reader {
        file: file.into(),
        origin: Name::root(),
        ttl: None,
        batch: Batch::default(),
        sets: BTreeMap::new(),
        exact: BTreeMap::new(),
        sent: None,
    };
    let mut faults = Vec::new();
    let mut fault = |at: Position, reason: String| {
        let at = Some(FilePosition {
            file: file.into(),
            position: at,
        });
        faults.push(FileFinding { at, reason });
    };
    if let Some(reason) = byte_order_mark(&mut text) {
        fault(Position { line: 1, column: 1 }, reason.into());
    }
    for entry in Entries::new(text) {
        match entry {
            Ok(entry) => {
                if let Err((at, reason)) = reader.statement(&entry.tokens) {
                    fault(at, reason);
                }
            }
            Err((at, error)) => fault(at, error.to_string()),
        }
    }
    match faults.is_empty() {
        true => Ok(reader.batch),
        false => Err(faults),
    }
}

/// A position and what is wrong there.
type Failure = (Position, String);

fn fail<T>(at: Position, reason: impl Into<String>) -> Result<T, Failure> {
    Err((at, reason.into()))
}

struct Reader {
    file: Arc<str>,
    origin: Name,
    ttl: Option<u32>,
    batch: Batch,
    /// The RRsets that `set` lines have begun, with the TTL that one of the lines gives.
    sets: BTreeMap<(Name, Rtype), Option<u32>>,
    /// The prerequisites with rdata, by their place in the list.
    exact: BTreeMap<(Name, Rtype), usize>,
    /// Where a `send` ended the update.
    sent: Option<Position>,
}

/// What follows the name: TTL, class and type.
struct Head<'t, 'a> {
    ttl: Option<u32>,
    rtype: Option<Rtype>,
    rdata: &'t [Token<'a>],
}

/// The most octets of a token that messages show.
const SHOWN_MAX: usize = 200;

/// A token in a message, or its beginning.
fn shown(token: &Token<'_>) -> String {
    match token.raw.split_at_checked(SHOWN_MAX) {
        Some((begin, rest)) if !rest.is_empty() => text::shown(begin) + "...",
        _ => text::shown(token.raw),
    }
}

fn word(token: &Token<'_>) -> String {
    match token.quoted {
        true => String::new(),
        false => shown(token).to_ascii_lowercase(),
    }
}

impl Reader {
    fn statement(&mut self, tokens: &[Token<'_>]) -> Result<(), Failure> {
        let [first, rest @ ..] = tokens else {
            return Ok(());
        };
        let at = first.at;
        match (word(first).as_str(), rest) {
            // What nsupdate prints.
            ("show" | "answer" | "debug", []) => return Ok(()),
            ("send" | "quit", []) => {
                self.sent.get_or_insert(at);
                return Ok(());
            }
            _ => {}
        }
        if let Some(sent) = self.sent {
            return fail(
                at,
                format!("a batch is one change, which ended at {sent}: use a file for each change"),
            );
        }
        match (word(first).as_str(), rest) {
            ("$origin" | "origin", [origin]) => self.origin = self.name(origin)?,
            ("$ttl" | "ttl", [ttl]) => self.ttl = Some(self.ttl(ttl)?),
            ("class", [class]) if matches!(&*word(class), "in" | "class1") => {}
            ("class", [class]) => {
                return fail(
                    class.at,
                    format!("class {} is not served: only IN is", shown(class)),
                );
            }
            ("zone", [zone]) => self.zone(zone)?,
            ("$origin" | "origin" | "$ttl" | "ttl" | "class" | "zone", _) => {
                return fail(at, format!("{} takes one argument", shown(first)));
            }
            ("prereq", [condition, rest @ ..]) => self.prerequisite(at, condition, rest)?,
            ("update", [edit, rest @ ..]) => self.edit(at, edit, rest)?,
            ("prereq" | "update", []) => return fail(at, "the statement is cut short"),
            ("nxdomain" | "yxdomain" | "nxrrset" | "yxrrset", _) => {
                self.prerequisite(at, first, rest)?;
            }
            (
                "server" | "local" | "key" | "gsstsig" | "oldgsstsig" | "realm" | "check-names"
                | "lease" | "version" | "help",
                _,
            ) => {
                return fail(
                    at,
                    format!(
                        "{} is for a server, and nsctl writes to etcd: leave the line out",
                        shown(first)
                    ),
                );
            }
            _ => self.edit(at, first, rest)?,
        }
        Ok(())
    }

    fn zone(&mut self, token: &Token<'_>) -> Result<(), Failure> {
        let zone = self.name(token)?;
        match &self.batch.zone {
            Some(other) if *other != zone => fail(
                token.at,
                format!(
                    "the zone is {other} already: without zone lines, each record goes to the zone that holds its name"
                ),
            ),
            _ => {
                self.batch.zone = Some(zone);
                Ok(())
            }
        }
    }

    fn prerequisite(
        &mut self,
        at: Position,
        condition: &Token<'_>,
        rest: &[Token<'_>],
    ) -> Result<(), Failure> {
        let condition_word = word(condition);
        let is_of_rrset = match condition_word.as_str() {
            "yxdomain" | "nxdomain" => false,
            "yxrrset" | "nxrrset" => true,
            _ => {
                return fail(
                    condition.at,
                    format!(
                        "'{}' is no prerequisite: yxdomain, nxdomain, yxrrset and nxrrset are",
                        shown(condition)
                    ),
                );
            }
        };
        let Some((owner, rest)) = rest.split_first() else {
            return fail(at, "the name is missing");
        };
        let owner = self.name(owner)?;
        let head = self.head(rest, true)?;
        if head.ttl.is_some() {
            let at = rest.first().map_or(at, |first| first.at);
            return fail(at, "a prerequisite has no TTL");
        }
        let exists = condition_word.starts_with("yx");
        let prerequisite = match (is_of_rrset, head.rtype, head.rdata) {
            (true, None, _) => return fail(at, "the type is missing"),
            (true, Some(rtype), []) if exists => Prerequisite::RrsetExists {
                owner,
                rtype,
                rdata: Vec::new(),
            },
            (true, Some(rtype), rdata) if exists => {
                let rdata = self.rdata(rtype, rdata, at)?;
                let place = (owner.clone(), rtype);
                if let Some(number) = self.exact.get(&place)
                    && let Some(Prerequisite::RrsetExists { rdata: all, .. }) =
                        self.batch.update.prerequisites.get_mut(*number)
                {
                    all.push(rdata);
                    return Ok(());
                }
                self.exact
                    .insert(place, self.batch.update.prerequisites.len());
                Prerequisite::RrsetExists {
                    owner,
                    rtype,
                    rdata: vec![rdata],
                }
            }
            (true, Some(rtype), []) => Prerequisite::RrsetAbsent { owner, rtype },
            (false, None, _) if exists => Prerequisite::NameInUse(owner),
            (false, None, _) => Prerequisite::NameNotInUse(owner),
            (true, _, [more, ..]) | (false, _, [more, ..]) => {
                return fail(more.at, format!("'{}' is too much here", shown(more)));
            }
            (false, Some(_), []) => {
                return fail(
                    condition.at,
                    format!("{condition_word} takes no type: nxrrset and yxrrset do"),
                );
            }
        };
        self.batch.prerequisites_at.push(self.at(at));
        self.batch.update.prerequisites.push(prerequisite);
        Ok(())
    }

    fn edit(&mut self, at: Position, edit: &Token<'_>, rest: &[Token<'_>]) -> Result<(), Failure> {
        let edit_word = word(edit);
        if !matches!(&*edit_word, "add" | "del" | "delete" | "set") {
            return fail(
                edit.at,
                format!(
                    "'{}' is no statement: add, del, set, prereq, zone, $ORIGIN and $TTL are",
                    shown(edit)
                ),
            );
        }
        let Some((owner, rest)) = rest.split_first() else {
            return fail(at, "the name is missing");
        };
        let owner = self.name(owner)?;
        let head = self.head(rest, edit_word.starts_with("del"))?;
        let change = match edit_word.as_str() {
            "add" => self.added(at, &head)?,
            "set" => self.set(at, &owner, &head)?,
            _ => self.removed(at, &head)?,
        };
        self.batch.edits_at.push(self.at(at));
        self.batch.update.edits.push(Edit {
            owner,
            change,
            default_ttl: self.ttl,
        });
        Ok(())
    }

    fn added(&self, at: Position, head: &Head<'_, '_>) -> Result<Change, Failure> {
        let rtype = required(head.rtype, at)?;
        Ok(Change::Add {
            rtype,
            ttl: head.ttl,
            rdata: vec![self.rdata(rtype, head.rdata, at)?],
        })
    }

    fn set(&mut self, at: Position, owner: &Name, head: &Head<'_, '_>) -> Result<Change, Failure> {
        let rtype = required(head.rtype, at)?;
        if let (Some(ttl), []) = (head.ttl, head.rdata) {
            return Ok(Change::Ttl { rtype, ttl });
        }
        let rdata = vec![self.rdata(rtype, head.rdata, at)?];
        let ttl = head.ttl;
        match self.sets.entry((owner.clone(), rtype)) {
            Entry::Vacant(first) => {
                first.insert(head.ttl);
                Ok(Change::Set { rtype, ttl, rdata })
            }
            Entry::Occupied(mut set) => match (*set.get(), head.ttl) {
                (Some(before), Some(ttl)) if before != ttl => fail(
                    at,
                    format!("the TTL {ttl} is not {before}, as in a line of the same RRset before"),
                ),
                (before, now) => {
                    set.insert(before.or(now));
                    Ok(Change::Add { rtype, ttl, rdata })
                }
            },
        }
    }

    /// nsupdate ignores a TTL here.
    fn removed(&self, at: Position, head: &Head<'_, '_>) -> Result<Change, Failure> {
        let rdata = match (head.rtype, head.rdata) {
            (_, []) => Vec::new(),
            (Some(rtype), rdata) => vec![self.rdata(rtype, rdata, at)?],
            (None, [more, ..]) => {
                return fail(more.at, format!("'{}' is too much here", shown(more)));
            }
        };
        Ok(Change::Remove {
            rtype: head.rtype,
            rdata,
        })
    }

    /// Reads TTL and class, in either order, and the type. Where ANY is allowed, it is a class as in what nsupdate prints,
    /// or stands for all types.
    fn head<'t, 'a>(
        &self,
        mut tokens: &'t [Token<'a>],
        any: bool,
    ) -> Result<Head<'t, 'a>, Failure> {
        let (mut ttl, mut has_class, mut is_any) = (None, false, false);
        while let Some((token, rest)) = tokens.split_first() {
            tokens = rest;
            let word = shown(token).to_ascii_uppercase();
            match word.as_str() {
                "IN" | "CLASS1" if !has_class => has_class = true,
                "ANY" if any && !has_class && !rest.is_empty() => {
                    (has_class, is_any) = (true, true)
                }
                "ANY" if any => {
                    return Ok(Head {
                        ttl,
                        rtype: None,
                        rdata: rest,
                    });
                }
                _ if is_other_class(&word) => {
                    return fail(token.at, format!("class {word} is not served: only IN is"));
                }
                // After ANY only a type may come, so that nothing is taken for all types by mistake.
                _ if !is_any
                    && ttl.is_none()
                    && word.starts_with(|first: char| first.is_ascii_digit()) =>
                {
                    ttl = Some(self.ttl(token)?);
                }
                _ => match word.parse::<Rtype>() {
                    Ok(rtype) if rtype.is_data() => {
                        return Ok(Head {
                            ttl,
                            rtype: Some(rtype),
                            rdata: rest,
                        });
                    }
                    Ok(rtype) => {
                        return fail(token.at, format!("{rtype} is no type of records in a zone"));
                    }
                    Err(error) => return fail(token.at, format!("'{}' is {error}", shown(token))),
                },
            }
        }
        Ok(Head {
            ttl,
            rtype: None,
            rdata: tokens,
        })
    }

    fn rdata(&self, rtype: Rtype, tokens: &[Token<'_>], at: Position) -> Result<Rdata, Failure> {
        Rdata::from_tokens(rtype, tokens, Some(&self.origin), at)
            .or_else(|error| fail(error.at, error.to_string()))
    }

    fn ttl(&self, token: &Token<'_>) -> Result<u32, Failure> {
        match period(&shown(token)) {
            Some(ttl) if ttl <= TTL_MAX => Ok(ttl),
            Some(_) => fail(
                token.at,
                format!("'{}' is not a TTL up to {TTL_MAX}", shown(token)),
            ),
            None => fail(
                token.at,
                format!("'{}' is neither a TTL nor a type", shown(token)),
            ),
        }
    }

    fn name(&self, token: &Token<'_>) -> Result<Name, Failure> {
        name::parse_relative(token.raw, &self.origin).or_else(|error| {
            fail(
                token.at,
                format!("'{}' is not a domain name: {error}", shown(token)),
            )
        })
    }

    fn at(&self, position: Position) -> FilePosition {
        FilePosition {
            file: self.file.clone(),
            position,
        }
    }
}

fn required(rtype: Option<Rtype>, at: Position) -> Result<Rtype, Failure> {
    match rtype {
        Some(rtype) => Ok(rtype),
        None => fail(at, "the type is missing"),
    }
}

#[cfg(test)]
mod tests;
