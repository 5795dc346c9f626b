use std::sync::LazyLock;

use crate::model::{Name, zonefile};

static ORIGIN: LazyLock<Name> = LazyLock::new(|| "example.org.".parse().expect("a name"));

/// A zone that is sound comes back from the master file that is written of it.
pub fn zonefile(octets: &[u8]) {
    let Some(checked) = read(octets) else { return };
    let mut text = String::new();
    zonefile::write(
        &mut text,
        &ORIGIN,
        &checked.zone,
        checked.serial,
        &checked.rrsets,
    )
    .expect("text");
    let again = read(text.as_bytes()).expect("what was written is sound");
    assert_eq!(again.rrsets, checked.rrsets);
    assert_eq!((again.zone, again.serial), (checked.zone, checked.serial));
}

fn read(octets: &[u8]) -> Option<zonefile::Checked> {
    let records = zonefile::read(octets, &ORIGIN).ok()?;
    zonefile::check(&ORIGIN, records).ok()
}
