use crate::model::{Rdata, Rtype};

/// The first two octets choose the type, so that most have a text form of their own; the
/// rest is read as text and as wire form. Whatever is accepted keeps every octet on its way through the
/// other form.
pub fn rdata(octets: &[u8]) {
    let Some((number, rest)) = octets.split_first_chunk() else {
        return;
    };
    let rtype = match u16::from_be_bytes(*number) % 267 {
        265 => Rtype::TA,
        266 => Rtype::DLV,
        number => Rtype(number),
    };
    if let Ok(text) = std::str::from_utf8(rest)
        && let Ok(rdata) = Rdata::parse(rtype, text)
    {
        survives(rtype, &rdata);
        // Rdata::text gives the generic form where it cannot read its own text back: then that is a fault.
        let is_generic = rdata.text(rtype).starts_with("\\#");
        assert!(!is_generic || text.contains("\\#"), "{rtype} {text:?}");
    }
    if let Ok(rdata) = Rdata::from_wire(rtype, rest) {
        assert_eq!(rdata.wire(), rest);
        survives(rtype, &rdata);
    }
}

fn survives(rtype: Rtype, rdata: &Rdata) {
    let text = rdata.text(rtype);
    assert!(
        text.bytes().all(|octet| (b' '..=b'~').contains(&octet)),
        "{rtype} {text:?}: one line of printable ASCII"
    );
    let reread = Rdata::parse(rtype, &text);
    assert_eq!(reread.as_ref(), Ok(rdata), "{rtype} {text}");
    assert_eq!(Rdata::from_wire(rtype, rdata.wire()).as_ref(), Ok(rdata));

    let canonical = rdata.canonical(rtype);
    let folded = Rdata::from_wire(rtype, &canonical).expect("the same fields in lower case");
    assert_eq!(folded.canonical(rtype), canonical, "{rtype} {text}");
    assert!(canonical.eq_ignore_ascii_case(rdata.wire()));
    for name in rdata.names(rtype) {
        let holds = |octets: &[u8]| octets.eq_ignore_ascii_case(name.wire());
        assert!(rdata.wire().windows(name.wire().len()).any(holds));
    }
}
