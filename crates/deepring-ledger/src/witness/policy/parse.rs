//! Reads a policy file. Whatever the specification does not allow is refused, with its line.

use std::collections::HashMap;

use thiserror::Error;

use super::{Group, Member, WitnessPolicy};
use crate::key::{KeyError, VerifierKey};
use crate::witness::key::{WitnessKey, WitnessKeyError};

/// Longest policy file that is read, in bytes.
const MAX_FILE: usize = 1 << 18;
/// Most logs, witnesses and groups, each; the specification asks for 32.
const MAX_ITEMS: usize = 128;
/// The name that asks for no cosignature.
const NONE: &[u8] = b"none";

/// Why a file is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WitnessPolicyError {
    /// The file is longer than any policy.
    #[error("policy file is longer than {MAX_FILE} bytes")]
    TooLong,
    /// A line is none of a policy.
    #[error("policy file, line {line}: {fault}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// The defect.
        fault: LineFault,
    },
    /// The file does not say which quorum it asks for; one that asks for none says `quorum none`.
    #[error("policy file has no `quorum` line")]
    NoQuorum,
}

/// The fault of a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineFault {
    /// The last line does not end with a line feed: the file may have been cut off.
    #[error("the line does not end")]
    Unterminated,
    /// A control character that is neither a tab nor a line feed.
    #[error("byte {byte:#04x} is not allowed")]
    Byte {
        /// The byte.
        byte: u8,
    },
    /// The line begins with something else than `log`, `witness`, `group` or `quorum`.
    #[error("unknown kind of line `{kind}`")]
    UnknownKind {
        /// Its first word.
        kind: String,
    },
    /// The line has too few or too many words for its kind.
    #[error("not of the form `{form}`")]
    Form {
        /// The form of a line of this kind.
        form: &'static str,
    },
    /// The key of a log.
    #[error("the log's key: {0}")]
    LogKey(#[source] KeyError),
    /// The key of a witness.
    #[error("the witness's key: {0}")]
    WitnessKey(#[source] WitnessKeyError),
    /// Another line has the same public key, perhaps under another name.
    #[error("the key is on an earlier line")]
    DuplicateKey,
    /// The name is taken by an earlier witness or group.
    #[error("`{name}` is defined on an earlier line")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// `none` is the name of no witness, group or member.
    #[error("`none` has a meaning of its own")]
    Reserved,
    /// No earlier line defines the name.
    #[error("`{name}` is not defined on an earlier line")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// The name is a member of a group already; a witness counts once.
    #[error("`{name}` is a member of a group already")]
    MemberTwice {
        /// The name.
        name: String,
    },
    /// The threshold is not `all`, `any` or a number from 1 to the number of members.
    #[error("threshold `{threshold}` of {members} members")]
    Threshold {
        /// The threshold.
        threshold: String,
        /// Number of members.
        members: usize,
    },
    /// There is a quorum already.
    #[error("a second `quorum` line")]
    SecondQuorum,
    /// More lines of this kind than are read.
    #[error("more than {MAX_ITEMS} lines of this kind")]
    TooMany,
}

impl WitnessPolicy {
    /// Reads a policy file (`c2sp.org/tlog-policy`, "Policy file syntax and structure"). URLs are
    /// allowed and have no meaning here.
    ///
    /// # Errors
    /// [`WitnessPolicyError`], for whatever the specification does not allow.
    pub fn parse(file: &[u8]) -> Result<Self, WitnessPolicyError> {
        if file.len() > MAX_FILE {
            return Err(WitnessPolicyError::TooLong);
        }
        let mut known = PolicyLines::default();
        let mut lines = file.split(|byte| *byte == b'\n').enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let read = match lines.peek() {
                Some(_) => known.line(line),
                None if line.is_empty() => Ok(()),
                None => Err(LineFault::Unterminated),
            };
            read.map_err(|fault| WitnessPolicyError::Line { line: number + 1, fault })?;
        }
        let PolicyLines { logs, witnesses, groups, quorum, .. } = known;
        let quorum = quorum.ok_or(WitnessPolicyError::NoQuorum)?;
        Ok(Self { logs, witnesses, groups, quorum })
    }
}

/// The definitions of the lines so far.
#[derive(Default)]
struct PolicyLines<'a> {
    logs: Vec<VerifierKey>,
    witnesses: Vec<WitnessKey>,
    groups: Vec<Group>,
    /// The member that each name is, and whether it is a member of a group.
    names: HashMap<&'a [u8], (Member, bool)>,
    /// `Some(None)` for `quorum none`.
    quorum: Option<Option<Member>>,
}

impl<'a> PolicyLines<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), LineFault> {
        if let Some(byte) = line.iter().find(|b| (**b < 0x20 && **b != b'\t') || **b == 0x7f) {
            return Err(LineFault::Byte { byte: *byte });
        }
        let words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let words: Vec<&[u8]> = words.collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] | [b"log", key, _] => self.log(key),
            [b"log", ..] => Err(LineFault::Form { form: "log <vkey> [<url>]" }),
            [b"witness", name, key] | [b"witness", name, key, _] => self.witness(name, key),
            [b"witness", ..] => Err(LineFault::Form { form: "witness <name> <vkey> [<url>]" }),
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            [b"group", ..] => Err(LineFault::Form { form: "group <name> all|any|<k> <name>..." }),
            [b"quorum", name] => self.quorum(name),
            [b"quorum", ..] => Err(LineFault::Form { form: "quorum <name>" }),
            [kind, ..] => Err(LineFault::UnknownKind { kind: lossy(kind) }),
        }
    }

    fn log(&mut self, key: &[u8]) -> Result<(), LineFault> {
        let key = VerifierKey::parse(utf8(key).ok_or(LineFault::LogKey(KeyError::Malformed))?)
            .map_err(LineFault::LogKey)?;
        if self.logs.iter().any(|known| known.has_key_of(&key)) {
            return Err(LineFault::DuplicateKey);
        }
        push(&mut self.logs, key)
    }

    fn witness(&mut self, name: &'a [u8], key: &[u8]) -> Result<(), LineFault> {
        let malformed = LineFault::WitnessKey(WitnessKeyError::Malformed);
        let key = WitnessKey::parse(utf8(key).ok_or(malformed)?).map_err(LineFault::WitnessKey)?;
        if self.witnesses.iter().any(|known| known.has_key_of(&key)) {
            return Err(LineFault::DuplicateKey);
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        push(&mut self.witnesses, key)
    }

    fn group(
        &mut self,
        name: &'a [u8],
        threshold: &[u8],
        members: &[&'a [u8]],
    ) -> Result<(), LineFault> {
        let found = members.len();
        let number = utf8(threshold)
            .and_then(|text| text.parse::<usize>().ok().filter(|n| n.to_string() == text));
        let threshold = match threshold {
            b"all" => Some(found),
            b"any" => Some(1),
            _ => number.filter(|n| (1..=found).contains(n)),
        }
        .ok_or_else(|| LineFault::Threshold { threshold: lossy(threshold), members: found })?;
        let mut group = Group { threshold, members: Vec::with_capacity(found) };
        for member in members {
            if *member == NONE {
                return Err(LineFault::Reserved);
            }
            let name = || lossy(member);
            let known = self.names.get_mut(member);
            let (known, taken) = known.ok_or_else(|| LineFault::UnknownName { name: name() })?;
            if *taken {
                return Err(LineFault::MemberTwice { name: name() });
            }
            *taken = true;
            group.members.push(*known);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        push(&mut self.groups, group)
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), LineFault> {
        if self.quorum.is_some() {
            return Err(LineFault::SecondQuorum);
        }
        let unknown = || LineFault::UnknownName { name: lossy(name) };
        self.quorum = Some(match name {
            NONE => None,
            name => Some(self.names.get(name).ok_or_else(unknown)?.0),
        });
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], member: Member) -> Result<(), LineFault> {
        if name == NONE {
            return Err(LineFault::Reserved);
        }
        match self.names.insert(name, (member, false)) {
            None => Ok(()),
            Some(_) => Err(LineFault::DuplicateName { name: lossy(name) }),
        }
    }
}

fn push<T>(items: &mut Vec<T>, item: T) -> Result<(), LineFault> {
    if items.len() == MAX_ITEMS {
        return Err(LineFault::TooMany);
    }
    items.push(item);
    Ok(())
}

fn utf8(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word).ok()
}

fn lossy(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
