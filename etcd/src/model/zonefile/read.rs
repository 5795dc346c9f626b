//! Reading master files: from entries to records.

use std::error::Error;
use std::sync::Arc;

use super::super::name::{self, Name};
use super::super::rdata::Rdata;
use super::super::rrset::TTL_MAX;
use super::super::rtype::Rtype;
use super::super::text::{Entries, Entry, Position, Token, unescaped};
use super::super::time::period;
use super::generate::{GenerateRange, fill, quoted_again};
use super::{FileFinding, FilePosition, FileRecord, MasterFile};

/// How deep files may include each other. It stops files that include themselves.
const DEPTH_MAX: usize = 16;

/// The most files included in all. The depth alone does not stop files that include each other twice.
const FILES_MAX: usize = 10_000;

/// Fetches an included file: from the name of the including file and the path as written to the name to show and the
/// text.
pub type Include<'a> = &'a mut dyn FnMut(&str, &str) -> Result<(String, Vec<u8>), Box<dyn Error>>;

/// Reads the records of a text that includes no files. Returns all errors, not only the first.
pub fn read(text: &[u8], origin: &Name) -> Result<MasterFile, Vec<FileFinding>> {
    read_file("", text, origin, &mut |_, _| {
        Err("$INCLUDE is not possible here".into())
    })
}

/// Reads the records of a master file and of the files that it includes. Returns all errors, not only the first.
pub fn read_file(
    file: &str,
    text: &[u8],
    origin: &Name,
    include: Include<'_>,
) -> Result<MasterFile, Vec<FileFinding>> {
    let mut reader = Reader {
        include,
        ttl_default: None,
        ttl_last: None,
        ttl_doubted: false,
        read: MasterFile::default(),
        faults: Vec::new(),
        depth: 0,
        files: 0,
    };
    reader.file(
        FileScope {
            file: file.into(),
            origin: origin.clone(),
            owner: None,
        },
        text,
    );
    if reader.faults.is_empty() {
        Ok(reader.read)
    } else {
        Err(reader.faults)
    }
}

struct Reader<'i> {
    include: Include<'i>,
    ttl_default: Option<u32>,
    ttl_last: Option<u32>,
    /// Whether there was a warning about a record without a TTL: one is enough.
    ttl_doubted: bool,
    read: MasterFile,
    faults: Vec<FileFinding>,
    depth: usize,
    files: usize,
}

/// The state of one file. An included file does not change it for the including file (RFC 1035 5.1).
struct FileScope {
    file: Arc<str>,
    origin: Name,
    owner: Option<Name>,
}

/// A record without its owner.
struct RecordHead<'t, 'a> {
    ttl: Option<u32>,
    rtype: Rtype,
    rdata: &'t [Token<'a>],
}

/// A position in the current file and what is wrong there.
type Failure = (Position, String);

fn fail<T>(at: Position, reason: impl Into<String>) -> Result<T, Failure> {
    Err((at, reason.into()))
}

fn shown(token: &Token<'_>) -> String {
    super::super::text::shown(token.raw)
}

/// Whether these are TTL, class and type of a TSIG record. `dig` and `kdig` print one after a zone from a signed
/// transfer.
fn is_message_signature(tokens: &[Token<'_>]) -> bool {
    matches!(tokens, [ttl, class, rtype, ..] if ttl.raw == b"0"
        && class.raw.eq_ignore_ascii_case(b"ANY")
        && rtype.raw.eq_ignore_ascii_case(b"TSIG"))
}

impl Reader<'_> {
    fn file(&mut self, mut scope: FileScope, mut text: &[u8]) {
        let start = Position { line: 1, column: 1 };
        if let Some(reason) = byte_order_mark(&mut text) {
            self.fault(&scope, start, reason.into());
        }
        for entry in Entries::new(text) {
            let result = match entry {
                Ok(entry) => self.entry(&mut scope, &entry),
                Err((at, error)) => Err((at, error.to_string())),
            };
            if let Err((position, reason)) = result {
                self.fault(&scope, position, reason);
            }
        }
    }

    fn fault(&mut self, scope: &FileScope, position: Position, reason: String) {
        let at = Some(scope.at(position));
        self.faults.push(FileFinding { at, reason });
    }

    fn warn(&mut self, scope: &FileScope, position: Position, reason: String) {
        let at = Some(scope.at(position));
        let warning = FileFinding { at, reason };
        // $GENERATE makes many records, with the same warning for each.
        if self.read.warnings.last() != Some(&warning) {
            self.read.warnings.push(warning);
        }
    }

    /// A TTL with its highest bit set counts as 0 (RFC 2181 8).
    fn ttl(&mut self, scope: &FileScope, token: &Token<'_>) -> Result<u32, Failure> {
        let text = shown(token);
        match period(&text) {
            None => fail(token.at, format!("'{text}' is not a TTL up to {TTL_MAX}")),
            Some(ttl) if ttl <= TTL_MAX => Ok(ttl),
            Some(_) => {
                let reason =
                    format!("the TTL {text} is over {TTL_MAX} and becomes 0 (RFC 2181, 8)");
                self.warn(scope, token.at, reason);
                Ok(0)
            }
        }
    }

    fn entry(&mut self, scope: &mut FileScope, entry: &Entry<'_>) -> Result<(), Failure> {
        let first = &entry.tokens[0];
        if !entry.indented && !first.quoted && first.raw.starts_with(b"$") {
            return self.directive(scope, first, &entry.tokens[1..]);
        }
        let mut tokens = &entry.tokens[..];
        if !entry.indented {
            // A blank owner in the next line means this one, even if the rest of this line is wrong.
            scope.owner = Some(scope.name(first)?);
            tokens = &tokens[1..];
        }
        let Some(owner) = scope.owner.clone() else {
            return fail(first.at, "the first record has no owner");
        };
        if is_message_signature(tokens) {
            return Ok(());
        }
        let head = self.head(scope, tokens, first.at)?;
        self.record(scope, owner, head, first.at)
    }

    fn directive(
        &mut self,
        scope: &mut FileScope,
        directive: &Token<'_>,
        arguments: &[Token<'_>],
    ) -> Result<(), Failure> {
        let name = shown(directive).to_ascii_uppercase();
        match (name.as_str(), arguments) {
            ("$ORIGIN", [origin]) => scope.origin = scope.name(origin)?,
            ("$TTL", [ttl]) => self.ttl_default = Some(self.ttl(scope, ttl)?),
            ("$INCLUDE", [path]) => self.included(scope, path, scope.origin.clone())?,
            ("$INCLUDE", [path, origin]) => self.included(scope, path, scope.name(origin)?)?,
            ("$GENERATE", [range, owner, record @ ..]) if !record.is_empty() => {
                self.generated(scope, directive.at, range, owner, record)?;
            }
            // BIND writes this directive at the start of its dumps. It has no effect here.
            ("$DATE", [_]) => {}
            ("$ORIGIN" | "$TTL" | "$DATE", _) => {
                return fail(directive.at, format!("{name} takes one argument"));
            }
            ("$INCLUDE", _) => {
                return fail(directive.at, "$INCLUDE takes a file and perhaps an origin");
            }
            ("$GENERATE", _) => {
                return fail(
                    directive.at,
                    "$GENERATE takes a range, an owner, a type and rdata",
                );
            }
            _ => {
                return fail(
                    directive.at,
                    format!("{name} is no directive: $ORIGIN, $TTL, $INCLUDE and $GENERATE are"),
                );
            }
        }
        Ok(())
    }

    fn included(
        &mut self,
        scope: &FileScope,
        path: &Token<'_>,
        origin: Name,
    ) -> Result<(), Failure> {
        if self.depth >= DEPTH_MAX {
            return fail(
                path.at,
                format!("files include each other more than {DEPTH_MAX} deep"),
            );
        }
        if self.files >= FILES_MAX {
            return fail(
                path.at,
                format!("more than {FILES_MAX} files are included in all"),
            );
        }
        self.files += 1;
        let written = unescaped(path.raw).or_else(|error| fail(path.at, error.0))?;
        let written =
            String::from_utf8(written).or_else(|_| fail(path.at, "the path is not text"))?;
        let (file, text) = (self.include)(&scope.file, &written)
            .or_else(|error| fail(path.at, error.to_string()))?;
        self.depth += 1;
        self.file(
            FileScope {
                file: file.into(),
                origin,
                owner: scope.owner.clone(),
            },
            &text,
        );
        self.depth -= 1;
        Ok(())
    }

    fn generated(
        &mut self,
        scope: &FileScope,
        at: Position,
        range: &Token<'_>,
        owner: &Token<'_>,
        record: &[Token<'_>],
    ) -> Result<(), Failure> {
        let generate =
            GenerateRange::parse(range.raw).or_else(|error| fail(range.at, error.to_string()))?;
        for value in generate {
            let filled = |token: &Token<'_>| {
                fill(token.raw, value).or_else(|error| fail(token.at, error.to_string()))
            };
            let owner_text = filled(owner)?;
            let name = scope.name(&Token {
                raw: &owner_text,
                ..*owner
            })?;
            let texts = record
                .iter()
                .map(filled)
                .collect::<Result<Vec<Vec<u8>>, Failure>>()?;
            let tokens: Vec<Token<'_>> = texts
                .iter()
                .zip(record)
                .map(|(raw, token)| Token { raw, ..*token })
                .collect();
            let head = self.head(scope, &tokens, at)?;
            match head.rdata {
                [token] if token.quoted => {
                    let text = quoted_again(token.raw);
                    let entry = Entries::new(&text).next().unwrap_or(Ok(Entry::default()));
                    let mut inner = entry
                        .or_else(|(_, error)| fail(token.at, error.to_string()))?
                        .tokens;
                    inner.iter_mut().for_each(|inner| inner.at = token.at);
                    let rdata = &inner[..];
                    self.record(scope, name, RecordHead { rdata, ..head }, at)?;
                }
                _ => self.record(scope, name, head, at)?,
            }
        }
        Ok(())
    }

    /// Reads the tokens after the owner: TTL and class in either order, type, rdata.
    fn head<'t, 'a>(
        &mut self,
        scope: &FileScope,
        mut tokens: &'t [Token<'a>],
        at: Position,
    ) -> Result<RecordHead<'t, 'a>, Failure> {
        let mut ttl = None;
        let mut class_seen = false;
        let rtype = loop {
            let Some((token, rest)) = tokens.split_first() else {
                return fail(at, "the record type is missing");
            };
            tokens = rest;
            let word = shown(token).to_ascii_uppercase();
            match word.as_str() {
                "IN" | "CLASS1" if !class_seen => class_seen = true,
                _ if is_other_class(&word) => {
                    return fail(token.at, format!("class {word} is not served: only IN is"));
                }
                _ if ttl.is_none() && word.starts_with(|first: char| first.is_ascii_digit()) => {
                    ttl = Some(self.ttl(scope, token)?);
                }
                _ => match word.parse::<Rtype>() {
                    Ok(rtype) if rtype.is_data() => break rtype,
                    Ok(rtype) => {
                        return fail(token.at, format!("{rtype} is no type of records in a zone"));
                    }
                    Err(error) => return fail(token.at, format!("'{word}' is {error}")),
                },
            }
        };
        // An explicit TTL also applies to the records that follow (RFC 1035 5.1).
        self.ttl_last = ttl.or(self.ttl_last);
        if ttl.or(self.ttl_default).is_none() && !self.ttl_doubted {
            self.ttl_doubted = true;
            let source = match self.ttl_last {
                Some(last) => format!("{last}, as the record before"),
                None => "the SOA record's minimum".into(),
            };
            self.warn(
                scope,
                at,
                format!("there is no TTL, and no $TTL above: it is taken for {source}; other servers differ here"),
            );
        }
        Ok(RecordHead {
            ttl: ttl.or(self.ttl_default).or(self.ttl_last),
            rtype,
            rdata: tokens,
        })
    }

    fn record(
        &mut self,
        scope: &FileScope,
        owner: Name,
        head: RecordHead<'_, '_>,
        at: Position,
    ) -> Result<(), Failure> {
        let RecordHead { ttl, rtype, rdata } = head;
        match Rdata::from_tokens(rtype, rdata, Some(&scope.origin), at) {
            Ok(rdata) => {
                let at = scope.at(at);
                self.read.records.push(FileRecord {
                    owner,
                    ttl,
                    rtype,
                    rdata,
                    at,
                });
                Ok(())
            }
            Err(error) => fail(error.at, error.to_string()),
        }
    }
}

/// Whether the word, in upper case, is a class other than IN, by mnemonic or as `CLASSnnn` (RFC 3597 5).
pub(in crate::model) fn is_other_class(word: &str) -> bool {
    let number = word.strip_prefix("CLASS").map(str::parse::<u16>);
    matches!(number, Some(Ok(number)) if number != 1)
        || matches!(word, "CH" | "CHAOS" | "HS" | "HESIOD" | "CS" | "NONE")
}

/// Removes a byte order mark from the text and returns what to say about it.
pub(in crate::model) fn byte_order_mark(text: &mut &[u8]) -> Option<&'static str> {
    match text {
        [0xef, 0xbb, 0xbf, rest @ ..] => {
            *text = rest;
            Some(
                "the file begins with a byte order mark (U+FEFF, the octets EF BB BF): save it as UTF-8 without BOM, \
                 or remove the mark with sed -i '1s/^\\xEF\\xBB\\xBF//' FILE",
            )
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            *text = &[];
            Some(
                "the file begins with the byte order mark of UTF-16 (the octets FF FE or FE FF): convert it to \
                 plain text with iconv -f UTF-16 -t UTF-8 FILE",
            )
        }
        _ => None,
    }
}

impl FileScope {
    fn at(&self, position: Position) -> FilePosition {
        FilePosition {
            file: self.file.clone(),
            position,
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
}
