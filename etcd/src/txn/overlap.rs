//! Zones within zones.
//!
//! A zone answers for all names at and below its apex, so it hides the records that a zone above has there. The
//! delegation is not hidden: NS and DS records at the apex (DS queries are answered from the parent, RFC 4035 3.1.4.1),
//! and the addresses of the name servers that the NS records name.

use crate::schema::key_text;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use crate::model::rules::can_be_in_delegation;
use crate::model::zonefile::{Rrsets, violations};
use crate::model::{Name, Rdata, Rrset, Rtype};
use crate::schema::{Key, Prefix};

use super::{Compare, Op, Plan, Refusal, RrsetRead, ZoneChange, ZoneRead, journal};

/// The most operations of a move, without those that write the new zone.
const MOVE_OPS_MAX: usize = 60;

/// What to do about records that a zone would hide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Refuse to add the zone.
    #[default]
    Refuse,
    /// Move them into the zone that hides them.
    Move,
    /// Hide them.
    Hide,
}

/// An RRset that is hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// The zone that answers for the owner.
    pub by: Name,
}

/// The RRsets of the zone `parent` that are hidden by zones below it. `rrsets` has to have the NS records at their
/// apexes.
pub fn hidden<'a>(
    parent: &Name,
    children: &BTreeSet<Name>,
    rrsets: impl Iterator<Item = (&'a Name, Rtype, Option<&'a Rrset>)> + Clone,
) -> Vec<Hidden> {
    if children.is_empty() {
        return Vec::new();
    }
    // The first cut on the way down from the parent: below it, the child delegates.
    let cut = |owner: &Name| {
        let above = owner.ancestors().take_while(|name| name != parent);
        above.filter(|name| children.contains(name)).last()
    };
    let mut behind = Vec::new();
    let mut servers: BTreeSet<Name> = BTreeSet::new();
    for (owner, rtype, rrset) in rrsets {
        let Some(by) = cut(owner) else { continue };
        if rtype == Rtype::NS && *owner == by {
            let targets = rrset.map_or(&[][..], Rrset::rdata).iter();
            servers.extend(targets.flat_map(|target| target.names(rtype)));
        }
        behind.push((owner, rtype, by));
    }
    let is_address = |rtype| matches!(rtype, Rtype::A | Rtype::AAAA);
    let is_delegation = |owner: &Name, rtype: Rtype, by: &Name| {
        can_be_in_delegation(rtype, owner == by) && (!is_address(rtype) || servers.contains(owner))
    };
    behind
        .into_iter()
        .filter(|(owner, rtype, by)| !is_delegation(owner, *rtype, by))
        .map(|(owner, rtype, by)| Hidden {
            owner: owner.clone(),
            rtype,
            by,
        })
        .collect()
}

/// The same for RRsets that can be read.
pub fn hidden_among_rrsets(
    parent: &Name,
    children: &BTreeSet<Name>,
    rrsets: &Rrsets,
) -> Vec<Hidden> {
    let each = rrsets.iter();
    hidden(
        parent,
        children,
        each.map(|((owner, rtype), rrset)| (owner, *rtype, Some(rrset))),
    )
}

/// The same for RRsets as they were read.
pub fn hidden_among_read(
    parent: &Name,
    children: &BTreeSet<Name>,
    rrsets: &[(Name, RrsetRead)],
) -> Vec<Hidden> {
    let each = rrsets.iter();
    hidden(
        parent,
        children,
        each.map(|(owner, read)| (owner, read.rtype, read.rrset.as_ref().ok())),
    )
}

/// What is above a new zone.
#[derive(Debug, Default)]
pub struct Above {
    /// The closest zone above.
    pub parent: Option<ZoneRead>,
    /// The names between the two, or all names above if there is no zone above. A zone at one of them would be closer.
    pub closer: Vec<Name>,
    /// The revision that last changed the parent.
    pub touched: i64,
    /// The parent's RRsets at and below the new apex.
    pub rrsets: Vec<(Name, RrsetRead)>,
}

/// What the transaction that adds a zone must also compare and do, so that it hides nothing by accident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentChanges {
    /// What must still hold.
    pub compares: Vec<Compare>,
    /// What to do besides adding the zone.
    pub ops: Vec<Op>,
    /// What that changes in the zone above.
    pub changes: Vec<ZoneChange>,
    /// The RRsets that are moved or copied into the zone.
    pub moved: Rrsets,
    /// How many of these are copied: the delegation keeps addresses of name servers.
    pub copied: usize,
    /// The zone above, if it does not delegate the new one.
    pub not_delegating: Option<Name>,
}

impl ParentChanges {
    /// Adds it to a plan.
    pub fn add_to(&self, plan: &mut Plan) {
        plan.compares.extend(self.compares.iter().cloned());
        // etcd allows only one write of a key in a transaction.
        let ops = self.ops.iter().filter(|op| !plan.ops.contains(op));
        let ops: Vec<Op> = ops.cloned().collect();
        plan.ops.extend(ops);
        plan.changes.extend(self.changes.iter().cloned());
    }

    /// How many operations it takes.
    pub fn ops_count(&self) -> usize {
        self.ops.len() + journal::OPS * self.changes.len()
    }
}

/// Plans what happens to the zone above when a zone with this content is added. Records that the content also has are not
/// lost.
pub fn plan_parent_changes(
    prefix: &Prefix,
    child: &Name,
    above: &Above,
    content: &Rrsets,
    overlap: Overlap,
) -> Result<ParentChanges, Refusal> {
    let mut changes = ParentChanges::default();
    if overlap == Overlap::Hide {
        return Ok(changes);
    }
    let mut plan = Plan::default();
    for name in &above.closer {
        plan.unchanged(prefix, &Key::Zone(name.clone()), 0);
    }
    let Some(parent) = &above.parent else {
        changes.compares = plan.compares;
        return Ok(changes);
    };
    plan.unchanged(prefix, &Key::Zone(parent.apex.clone()), parent.revision);
    let range = prefix.subtree(&parent.apex, parent.settings.generation, child);
    plan.compares.push(Compare::NotWrittenSince {
        range,
        revision: parent.as_of,
    });
    let is_ns = |(owner, read): &(Name, RrsetRead)| owner == child && read.rtype == Rtype::NS;
    if !above.rrsets.iter().any(is_ns) {
        changes.not_delegating = Some(parent.apex.clone());
    }
    let hidden = hidden_among_read(&parent.apex, &[child.clone()].into(), &above.rrsets);
    if overlap == Overlap::Move {
        changes.moved = moved(prefix, child, parent, above, content, &hidden)?;
        // All that is hidden moves.
        changes.copied = changes.moved.len() - hidden.len();
        delete_hidden(prefix, parent, above, &hidden, &mut plan);
        // The range comparison does not detect deletions, and a record that was removed meanwhile must not come back in
        // the child.
        plan.unchanged(prefix, &Key::Serial(parent.apex.clone()), above.touched);
        if plan.ops.len() > MOVE_OPS_MAX {
            return Err(Refusal::TooManyServers {
                child: child.clone(),
                parent: parent.apex.clone(),
            });
        }
        // Addresses of name servers are only copied.
        if !hidden.is_empty() {
            plan.touch(prefix, going(parent, above, &hidden));
        }
    } else {
        let names = lost(&hidden, above, content);
        if !names.is_empty() {
            return Err(Refusal::WouldHide {
                child: child.clone(),
                parent: parent.apex.clone(),
                names,
            });
        }
    }
    (changes.compares, changes.ops, changes.changes) = (plan.compares, plan.ops, plan.changes);
    Ok(changes)
}

/// The names of hidden records that the content of the new zone does not have.
fn lost(hidden: &[Hidden], above: &Above, content: &Rrsets) -> Vec<Name> {
    let present = above.rrsets.iter();
    let present: BTreeMap<(&Name, Rtype), &RrsetRead> = present
        .map(|(owner, read)| ((owner, read.rtype), read))
        .collect();
    let is_kept = |one: &&Hidden| {
        let old = present.get(&(&one.owner, one.rtype));
        let old = old.and_then(|read| read.rrset.as_ref().ok());
        let new = content.get(&(one.owner.clone(), one.rtype));
        old.zip(new).is_some_and(|(old, new)| {
            let new: HashSet<&Rdata> = new.rdata().iter().collect();
            old.rdata().iter().all(|one| new.contains(one))
        })
    };
    let lost = hidden.iter().filter(|one| !is_kept(one));
    let names: BTreeSet<Name> = lost.map(|one| one.owner.clone()).collect();
    names.into_iter().collect()
}

/// The RRsets that move into the zone, merged with its content. Includes the addresses of name servers, which the
/// delegation keeps as well.
fn moved(
    prefix: &Prefix,
    child: &Name,
    parent: &ZoneRead,
    above: &Above,
    content: &Rrsets,
    hidden: &[Hidden],
) -> Result<Rrsets, Refusal> {
    let hidden: BTreeSet<(&Name, Rtype)> =
        hidden.iter().map(|one| (&one.owner, one.rtype)).collect();
    let mut moved = Rrsets::new();
    for (owner, read) in &above.rrsets {
        let is_hidden = hidden.contains(&(owner, read.rtype));
        let key = (owner.clone(), read.rtype);
        let new = content.get(&key);
        let is_glue = matches!(read.rtype, Rtype::A | Rtype::AAAA);
        if !is_hidden && (!is_glue || new.is_some()) {
            continue;
        }
        let old = read.rrset.as_ref().map_err(|error| {
            let key = key_text(&prefix.encode(&parent.rrset_key(owner, read.rtype)));
            Refusal::Stored(key, error.clone())
        })?;
        let mut rdata = new.map_or_else(Vec::new, |new| new.rdata().to_vec());
        rdata.extend(old.rdata().iter().cloned());
        let ttl = new.map_or(old.ttl(), Rrset::ttl);
        let union = Rrset::new(read.rtype, ttl, rdata)
            .map_err(|error| Refusal::Rrset(owner.clone(), read.rtype, error))?;
        moved.insert(key, union);
    }
    let mut all = content.clone();
    all.extend(moved.clone());
    match violations(child, &all).into_iter().next() {
        Some(violation) => Err(Refusal::CannotMove {
            child: child.clone(),
            parent: parent.apex.clone(),
            violation,
        }),
        None => Ok(moved),
    }
}

/// What the move of these RRsets changes in their zone.
fn going(parent: &ZoneRead, above: &Above, hidden: &[Hidden]) -> ZoneChange {
    let hidden: BTreeSet<(&Name, Rtype)> =
        hidden.iter().map(|one| (&one.owner, one.rtype)).collect();
    let going = above
        .rrsets
        .iter()
        .filter(|(owner, read)| hidden.contains(&(owner, read.rtype)));
    let going = going.filter_map(|(owner, read)| {
        let rrset = read.rrset.as_ref().ok()?;
        Some(((owner.clone(), read.rtype), rrset.clone()))
    });
    let (old, new) = (going.collect(), Rrsets::new());
    // A subtree may be large, and the deletion of its ranges is not.
    ZoneChange::of_rrsets(&parent.apex, &parent.settings, &old, &new).abridged()
}

/// Deletes the hidden RRsets, as ranges between the keys that stay.
fn delete_hidden(
    prefix: &Prefix,
    parent: &ZoneRead,
    above: &Above,
    hidden: &[Hidden],
    plan: &mut Plan,
) {
    let key_of = |owner: &Name, rtype: Rtype| prefix.encode(&parent.rrset_key(owner, rtype));
    let going: BTreeSet<Vec<u8>> = hidden
        .iter()
        .map(|one| key_of(&one.owner, one.rtype))
        .collect();
    // In the order of the keys, and whether each goes.
    let all: BTreeMap<Vec<u8>, bool> = above
        .rrsets
        .iter()
        .map(|(owner, read)| key_of(owner, read.rtype))
        .map(|key| {
            let goes = going.contains(&key);
            (key, goes)
        })
        .collect();
    let mut range: Option<Range<Vec<u8>>> = None;
    for (key, goes) in all {
        if !goes {
            let range = range.take();
            plan.ops
                .extend(range.map(|range| Op::DeleteRange { range }));
            continue;
        }
        let end = [&key[..], &[0]].concat();
        range.get_or_insert(key..Vec::new()).end = end;
    }
    plan.ops
        .extend(range.map(|range| Op::DeleteRange { range }));
}

/// Refuses content of which zones below would hide RRsets, except those that were already hidden `before`.
pub fn check_below(
    apex: &Name,
    children: &BTreeSet<Name>,
    content: &Rrsets,
    before: Option<&Rrsets>,
) -> Result<(), Refusal> {
    let mut hidden = hidden_among_rrsets(apex, children, content);
    hidden.retain(|one| {
        let key = (one.owner.clone(), one.rtype);
        before.is_none_or(|before| before.get(&key) != content.get(&key))
    });
    let Some(first) = hidden.first() else {
        return Ok(());
    };
    let child = first.by.clone();
    let names: BTreeSet<Name> = hidden.into_iter().map(|one| one.owner).collect();
    Err(Refusal::Hidden {
        zone: apex.clone(),
        child,
        names: names.into_iter().collect(),
    })
}
