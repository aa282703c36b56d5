//! `deepring ledger witness`: the newest checkpoint, cosigned by witnesses (c2sp.org/tlog-witness).

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use deepring::files::InLine;
use deepring_ledger::witness::{Cosignature, CosignatureError, CosignedCheckpoint, WitnessKey};
use deepring_ledger::{Checkpoint, ExtensionProof, Ledger};
use serde_json::json;

use super::LedgerMemory;
use crate::cli::LedgerWitness;
use crate::error::{CliError, Exit};
use crate::http::{Address, Client, ClientConfig, Response};
use crate::ledgers::read_key;
use crate::output;
use crate::witnesses::said;

/// Time for a witness to answer.
const WHOLE: Duration = Duration::from_secs(30);
/// Most bytes of an answer: the signature lines of twenty ML-DSA-44 keys.
const MAX_ANSWER: u64 = 1 << 16;
/// Most characters of a witness's own words that are shown.
const MAX_WORDS: usize = 200;

pub(super) fn witness(args: &LedgerWitness, trust: Option<&Path>) -> Result<(), CliError> {
    let urls = args.urls.iter().map(|url| submission(url)).collect::<Result<Vec<_>, _>>()?;
    let keys =
        args.witness_key.iter().map(|key| witness_key(key)).collect::<Result<Vec<_>, _>>()?;
    if args.ca_cert.is_some() && !urls.iter().any(|url| url.starts_with("https://")) {
        return Err(CliError::usage("`--ca-cert` is for https://, which no URL here begins with"));
    }
    let client = Client::new(&ClientConfig {
        ca_cert: args.ca_cert.as_deref(),
        shown: None,
        whole: WHOLE,
        answer: MAX_ANSWER,
        by_proxy: true,
    })?;
    let mut memory = LedgerMemory::open(trust)?;
    // Others may append while a witness takes its time.
    let ledger = memory.read(&args.args)?;
    let (mut checkpoint, mut newest) = (ledger.checkpoint().clone(), None);
    let (mut added, mut failed) = (Vec::<Cosignature>::new(), Vec::new());
    for url in &urls {
        match submit(&client, &ledger, &checkpoint, url, &keys) {
            Ok(cosigned) => {
                checkpoint = cosigned.checkpoint().clone();
                added.extend_from_slice(cosigned.added());
                newest = Some(cosigned);
            }
            Err(e) => failed.push(e),
        }
    }
    drop(ledger);
    if let Some(cosigned) = &newest {
        let mut vouched = memory.append(&args.args)?;
        vouched.ledger.keep_cosignatures(cosigned)?;
        memory.keep_growth(&vouched);
    }
    if args.args.json {
        output::json(&json!({
            "origin": checkpoint.origin(),
            "size": checkpoint.size(),
            "added": added
                .iter()
                .map(|c| json!({ "name": c.witness().name(), "at": c.timestamp() }))
                .collect::<Vec<_>>(),
            "failed": failed.iter().map(CliError::json).collect::<Vec<_>>(),
            "checkpoint": checkpoint.as_str(),
        }))?;
    } else {
        for cosignature in &added {
            let size = checkpoint.size();
            output::line(format_args!("{size} entries cosigned by {}", said(cosignature)))?;
        }
    }
    // The gravest first; the others are told with it.
    failed.sort_by_key(|e| match e.exit {
        Exit::Tampered => 0,
        Exit::Stale => 1,
        Exit::Untrusted => 2,
        _ => 3,
    });
    let mut failed = failed.into_iter();
    match failed.next() {
        Some(first) => Err(first.lines(failed)),
        None => Ok(()),
    }
}

/// A witness's key, as a file or as its text.
fn witness_key(given: &OsStr) -> Result<WitnessKey, CliError> {
    let text = match given.to_str().filter(|text| text.splitn(3, '+').count() == 3) {
        Some(text) if !Path::new(given).exists() => text.to_owned(),
        _ => read_key(Path::new(given))?,
    };
    WitnessKey::parse(&text).map_err(|e| {
        CliError::new(Exit::Failed, format!("witness key `{}`: {e}", given.display()))
            .hint("get the witness's verifier key from whoever runs it; the ledger's own is none")
    })
}

/// The URL to submit to, of a submission prefix.
fn submission(prefix: &str) -> Result<String, CliError> {
    Ok(Address::parse(prefix, "witness")?.at("add-checkpoint"))
}

/// Posts a proof to a witness.
fn post(client: &Client, url: &str, proof: &ExtensionProof) -> Result<Response, CliError> {
    let text = proof.to_string();
    client.post(url, ("text/plain; charset=utf-8", text.as_bytes()), None)
}

/// Submits a checkpoint to one witness; once more if the witness knows the log at another size.
fn submit(
    client: &Client,
    ledger: &Ledger,
    checkpoint: &Checkpoint,
    url: &str,
    keys: &[WitnessKey],
) -> Result<CosignedCheckpoint, CliError> {
    // Who does not know what a witness saw last begins with 0, and is told.
    let mut old = 0;
    let mut answer = post(client, url, &ledger.prove_extension(old)?)?;
    if answer.status == 409 {
        old = known_size(&answer)
            .ok_or_else(|| unexpected(url, &answer, "does not say which size it knows"))?;
        if old > ledger.len() {
            let message = format!(
                "{url} cosigned {old} entries of this ledger, which holds {}: it was rolled back",
                ledger.len()
            );
            return Err(CliError::new(Exit::Stale, message)
                .hint("find the entries that are gone before anything is appended: `deepring ledger verify --against`"));
        }
        answer = post(client, url, &ledger.prove_extension(old)?)?;
    }
    match answer.status {
        200 => checkpoint.cosigned(answer.text(), keys).map_err(|e| bad_cosignature(url, &e)),
        400 => Err(unexpected(url, &answer, "calls the request malformed")),
        403 => Err(CliError::new(
            Exit::Untrusted,
            format!("{url} does not take the signature: it knows this log with another key"),
        )
        .hint("give whoever runs the witness this ledger's `log.pub`")),
        404 => Err(CliError::new(
            Exit::Failed,
            format!("{url} does not know the log {}", ledger.checkpoint().origin()),
        )
        .hint("ask whoever runs the witness to add it, with this ledger's `log.pub`")),
        // Of the very size that it named: it has another root, or no longer this size.
        // Of no entry there is one history.
        409 if old > 0
            && old == ledger.len()
            && known_size(&answer).is_none_or(|size| size == old) =>
        {
            Err(two_histories(url, old))
        }
        409 => Err(unexpected(url, &answer, "was given another checkpoint meanwhile")),
        422 if old > 0 => Err(two_histories(url, old)),
        422 => Err(unexpected(url, &answer, "does not take the proof")),
        _ => Err(unexpected(url, &answer, "has another answer than a witness")),
    }
}

/// The size in the body of a 409: decimal, on a line, of a type of its own.
fn known_size(answer: &Response) -> Option<u64> {
    let text = answer.text();
    let digits = text.strip_suffix('\n').filter(|_| answer.content_type == "text/x.tlog.size");
    let size = digits?.parse::<u64>().ok()?;
    (format!("{size}\n") == text).then_some(size)
}

fn two_histories(url: &str, size: u64) -> CliError {
    let message = format!(
        "{url} cosigned {size} entries of this log that are not the first {size} of this ledger"
    );
    CliError::new(Exit::Tampered, message).hint(
        "the log's key signed two histories; append nothing, and compare with the checkpoint that the witness has",
    )
}

fn bad_cosignature(url: &str, e: &CosignatureError) -> CliError {
    let (exit, hint) = match e {
        CosignatureError::Wrong { .. } => (Exit::Tampered, "what does not verify was not kept"),
        CosignatureError::Unknown => {
            (Exit::Untrusted, "give the key of this witness with `--witness-key`")
        }
        _ => (Exit::Failed, "nothing of the answer was kept"),
    };
    CliError::new(exit, format!("{url}: {e}")).hint(hint)
}

/// An answer that is no cosignature, with the witness's own words.
fn unexpected(url: &str, answer: &Response, what: &str) -> CliError {
    let words: String =
        answer.text().lines().next().unwrap_or_default().chars().take(MAX_WORDS).collect();
    let message = match words.is_empty() {
        true => format!("{url} {what} (status {})", answer.status),
        false => format!("{url} {what} (status {}: {})", answer.status, InLine(&words)),
    };
    CliError::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_on_a_line_of_its_own_type() {
        let size = |body: &str, kind: &str| {
            let (content_type, body) = (kind.to_owned(), body.into());
            known_size(&Response { status: 409, content_type, body })
        };
        assert_eq!(size("7\n", "text/x.tlog.size"), Some(7));
        for bad in ["7", "07\n", "+7\n", "7\n\n", "", "-1\n", "99999999999999999999\n"] {
            assert_eq!(size(bad, "text/x.tlog.size"), None, "{bad:?}");
        }
        assert_eq!(size("7\n", "text/plain"), None);
    }
}
