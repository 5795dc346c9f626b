use std::sync::LazyLock;

use etcd::schema::{decode_rrset, decode_zone, encode};

use crate::model::{Name, zonefile};

static ORIGIN: LazyLock<Name> = LazyLock::new(|| "example.org.".parse().expect("a name"));

/// A zone that is sound comes back from the master file that is written of it, and from the values in etcd.
pub fn zonefile(octets: &[u8]) {
    if generates_many(octets) {
        return;
    }
    let Some(checked) = read(octets) else { return };
    assert!(zonefile::violations(&ORIGIN, &checked.rrsets).is_empty());
    let mut text = String::new();
    zonefile::write(
        &mut text,
        &ORIGIN,
        &checked.settings,
        checked.serial,
        &checked.rrsets,
    )
    .expect("text");
    let Some(again) = read(text.as_bytes()) else {
        panic!("not sound: {text}")
    };
    assert_eq!(again.rrsets, checked.rrsets, "{text}");
    assert!(zonefile::diff(&checked.rrsets, &again.rrsets).is_empty());
    assert_eq!(
        (&again.settings, again.serial),
        (&checked.settings, checked.serial)
    );

    let zone = decode_zone(&encode(&checked.settings));
    assert_eq!(zone.ok().as_ref(), Some(&checked.settings));
    for ((_, rtype), rrset) in &checked.rrsets {
        let value = encode(&(*rtype, rrset));
        assert_eq!(decode_rrset(*rtype, &value).ok().as_ref(), Some(rrset));
    }
}

/// What stands behind the first NUL is the only other file that there is. It includes none: how often files may
/// include each other is not for here.
fn read(octets: &[u8]) -> Option<zonefile::Checked> {
    let mut files = octets.splitn(2, |octet| *octet == 0);
    let (text, other) = (files.next()?, files.next());
    let mut include = |from: &str, _: &str| match other {
        Some(other) if from == "zone" => Ok(("other".into(), other.to_vec())),
        _ => Err("there is no such file".into()),
    };
    let file = zonefile::read_file("zone", text, &ORIGIN, &mut include).ok()?;
    zonefile::check(&ORIGIN, file).ok()
}

/// Whether there is `$GENERATE` and perhaps a range of more than two digits: a million records a line are what
/// it is for, but take too long here.
fn generates_many(octets: &[u8]) -> bool {
    let is_long = |word: &[u8]| {
        let mut numbers = word.split(|octet| !octet.is_ascii_digit());
        word.contains(&b'-') && numbers.any(|number| number.len() > 2)
    };
    octets
        .windows(9)
        .any(|word| word.eq_ignore_ascii_case(b"$GENERATE"))
        && octets.split(u8::is_ascii_whitespace).any(is_long)
}
