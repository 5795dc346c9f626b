//! The origin of an exported file, as a comment in its first lines. With it an import knows whether the zone has
//! changed since.

use std::fmt;

use crate::model::Name;
use crate::schema::Prefix;

/// Number of lines that are searched.
const LINES_MAX: usize = 20;

/// The origin of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The zone.
    pub zone: Name,
    /// The revision at which it was read.
    pub revision: i64,
    /// The cluster this revision belongs to.
    pub cluster_id: u64,
    /// The prefix of all keys.
    pub prefix: Prefix,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exported {
            zone,
            revision,
            cluster_id,
            prefix,
        } = self;
        write!(
            f,
            "; nsctl export: {zone} revision {revision} cluster {cluster_id:x} prefix {prefix}"
        )
    }
}

impl Exported {
    /// Looks for the comment in a master file.
    pub fn find(text: &[u8]) -> Option<Self> {
        let lines = text.split(|octet| *octet == b'\n').take(LINES_MAX);
        lines
            .filter_map(|line| std::str::from_utf8(line).ok())
            .find_map(Exported::read)
    }

    fn read(line: &str) -> Option<Self> {
        let rest = line.trim_end().strip_prefix("; nsctl export: ")?;
        let (zone, rest) = rest.split_once(" revision ")?;
        let (revision, rest) = rest.split_once(" cluster ")?;
        let (cluster_id, prefix) = rest.split_once(" prefix ")?;
        Some(Exported {
            zone: zone.parse().ok()?,
            revision: revision.parse().ok()?,
            cluster_id: u64::from_str_radix(cluster_id, 16).ok()?,
            prefix: prefix.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_is_found_and_read_back() {
        let exported = Exported {
            zone: "a\\ revision\\ b.example.".parse().expect("a name"),
            revision: 71,
            cluster_id: 0xcdf8_181e,
            prefix: "/a b".parse().expect("a prefix"),
        };
        let text = format!("; mine\r\n{exported}\r\nexample. 1 IN A 192.0.2.1\n");
        assert_eq!(Exported::find(text.as_bytes()), Some(exported.clone()));
        for other in [
            "",
            "; nsctl export: x.",
            "; nsctl export: x. revision a cluster 1 prefix /ns",
            "x. 1 IN TXT \"; nsctl export: x. revision 1 cluster 1 prefix /ns\"",
            "\u{feff}",
        ] {
            assert_eq!(Exported::find(other.as_bytes()), None, "{other}");
        }
        let late = format!("{}{exported}", "\n".repeat(LINES_MAX));
        assert_eq!(Exported::find(late.as_bytes()), None);
    }
}
