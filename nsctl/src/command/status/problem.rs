//! A problem of a member, of a front-end, or of all together.

use std::fmt;

use serde::{Serialize, Serializer};

/// How many members or front-ends a line names.
const SUBJECTS_SHOWN: usize = 5;

/// Something that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The member or front-end, unless it is about all of them.
    subject: Option<String>,
    text: String,
}

impl Problem {
    pub(super) fn general(text: impl Into<String>) -> Self {
        Problem {
            subject: None,
            text: text.into(),
        }
    }

    pub(super) fn of(subject: &str, text: String) -> Self {
        Problem {
            subject: Some(subject.into()),
            text,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{subject}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Describes problems, a line each. Members or front-ends with the same problem share a line.
pub(super) fn lines(problems: &[Problem]) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for Problem { subject, text } in problems {
        let group = match groups.iter().position(|(other, _)| other == text) {
            Some(at) => &mut groups[at],
            None => {
                groups.push((text, Vec::new()));
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        group.1.extend(subject.as_deref());
    }
    let line = |(text, subjects): (&str, Vec<&str>)| {
        let named = subjects[..subjects.len().min(SUBJECTS_SHOWN)].join(", ");
        match subjects.len().saturating_sub(SUBJECTS_SHOWN) {
            _ if subjects.is_empty() => text.to_string(),
            0 => format!("{named}: {text}"),
            more => format!("{named} and {more} more: {text}"),
        }
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_ends_with_the_same_problem_share_a_line() {
        let of = |id: &str, text: &str| Problem::of(id, text.into());
        let problems = [
            Problem::general("all is lost"),
            of("fe1", "it hurts"),
            of("fe1", "it itches"),
            of("fe2", "it hurts"),
        ];
        let expected = ["all is lost", "fe1, fe2: it hurts", "fe1: it itches"];
        assert_eq!(lines(&problems), expected);
        let json = serde_json::to_string(&problems).expect("JSON");
        let each = r#"["all is lost","fe1: it hurts","fe1: it itches","fe2: it hurts"]"#;
        assert_eq!(json, each);
        let many: Vec<Problem> = (1..8)
            .map(|id| of(&format!("fe{id}"), "it hurts"))
            .collect();
        assert_eq!(
            lines(&many),
            ["fe1, fe2, fe3, fe4, fe5 and 2 more: it hurts"]
        );
    }
}
