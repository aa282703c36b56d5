//! Printing: data to stdout, for people or as one JSON document; a closed pipe is no error.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use deepring::files::{InLine, Place, Replacement, ResolvedPath, disturbs_line, resolved};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{CliError, Exit};

/// Prints one line of data. Names of blocks, tensors, outputs and labels come from files that somebody else wrote, and a
/// line break, an escape sequence or a bidirectional control in one could make a refusal look like its opposite: one line
/// stays one line.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), CliError> {
    write(format_args!("{}\n", InLine(text)))
}

/// Prints lines of data that the caller made: each name in them is a line's own matter ([`InLine`]).
pub(crate) fn text(text: impl std::fmt::Display) -> Result<(), CliError> {
    let kept = |c: char| matches!(c, '\n' | '\t') || !disturbs_line(c);
    let shown = |c| if kept(c) { c } else { char::REPLACEMENT_CHARACTER };
    write(format_args!("{}\n", text.to_string().chars().map(shown).collect::<String>()))
}

/// The document that this command prints when it ends.
static DOCUMENT: Mutex<Option<String>> = Mutex::new(None);

/// Sets the one JSON document that the command prints when it [ends](end).
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| CliError::new(Exit::Failed, e))?;
    *DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    Ok(())
}

/// Sets the document of a command that verifies: verdict, findings and what `document` makes of what verified, or of nothing where
/// it was refused. What failed otherwise has no document but its error.
pub(crate) fn verdict<T>(
    outcome: Result<&T, &CliError>,
    document: impl FnOnce(Option<&T>) -> Value,
) -> Result<(), CliError> {
    let (verdict, findings, verified) = match outcome {
        Ok(verified) => ("intact", Vec::new(), Some(verified)),
        Err(e) if matches!(e.exit, Exit::Tampered | Exit::Untrusted | Exit::Stale) => {
            (e.exit.word(), e.findings.clone(), None)
        }
        Err(_) => return Ok(()),
    };
    let mut document = document(verified);
    if let Some(map) = document.as_object_mut() {
        map.insert("verdict".to_owned(), json!(verdict));
        map.insert("findings".to_owned(), json!(findings));
    }
    json(&document)
}

/// Prints the document that the command has set. Where it failed, what it failed with is added, and if `wanted`, there is a
/// document in any case: whoever asked for JSON need not understand anything else.
pub(crate) fn end(outcome: Result<(), CliError>, wanted: bool) -> Result<(), CliError> {
    let text = DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let text = match (&outcome, text) {
        (Ok(()), Some(text)) => text,
        (Err(e), Some(text)) => with_error(serde_json::from_str(&text).ok(), e),
        (Err(e), None) if wanted => with_error(None, e),
        (_, None) => String::new(),
    };
    if !text.is_empty() {
        // What could steer a terminal is escaped, so nothing of it is lost.
        write(format_args!("{}\n", escaped(&text)))?;
    }
    // Of two failures the command's own is told, and only without one that its output could not be written.
    outcome?;
    UNWRITTEN.get().map_or(Ok(()), |e| Err(CliError::new(Exit::Failed, format!("stdout: {e}"))))
}

/// A document of a command that failed, as text.
fn with_error(document: Option<Map<String, Value>>, e: &CliError) -> String {
    let mut document = document.unwrap_or_else(|| {
        [("verdict".to_owned(), json!(e.verdict())), ("findings".to_owned(), json!(e.findings))]
            .into_iter()
            .collect()
    });
    document.insert("error".to_owned(), e.json());
    format!("{:#}", Value::Object(document))
}

/// JSON with an escape of four hexadecimal digits for every character that disturbs a line. Outside of strings there is none but the line feeds.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !disturbs_line(c) {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}")));
        }
    }
    out
}

/// A remark for people, in one line on stderr.
pub(crate) fn note(text: impl std::fmt::Display) {
    complain(format_args!("{}\n", InLine(text)));
}

/// Writes to stderr what is made for it. Where that fails there is nobody left to tell, and the exit code says the rest.
pub(crate) fn complain(args: std::fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(args);
}

/// Refuses to write `target` where that is one of the files that this very command reads, or will: a network, a
/// ring or a secret key would be gone.
pub(crate) fn keep<'a>(
    target: &Path,
    read: impl IntoIterator<Item = &'a Path>,
) -> Result<(), CliError> {
    keep_at(&resolved_path(target)?, read)
}

/// The same, of a path that was walked.
pub(crate) fn keep_at<'a>(
    target: &ResolvedPath,
    read: impl IntoIterator<Item = &'a Path>,
) -> Result<(), CliError> {
    for path in read {
        if is_one_place(&resolved_path(path)?, target)? {
            let message = format!("{} would be overwritten, and is needed", path.display());
            return Err(CliError::usage(message).hint("write to another file"));
        }
    }
    Ok(())
}

/// Refuses to replace a file in a data set, which is read whole: in `folder` or below it. A network there is none of its files.
#[cfg(feature = "attacks")]
pub(crate) fn keep_out_of(folder: &Path, target: &Path) -> Result<(), CliError> {
    if !target.exists() || target.extension().is_some_and(|e| e == "onnx") {
        return Ok(());
    }
    // Any name: places are equal where their folders are.
    let inside = |folder: &Path| place_of(&folder.join("x"));
    let read = inside(folder)?;
    for above in resolved_for(target)?.ancestors() {
        if inside(above)? == read {
            let (target, folder) = (target.display(), folder.display());
            let message = format!("{target} lies in {folder}, which this command reads");
            return Err(CliError::usage(message).hint("write to another file"));
        }
    }
    Ok(())
}

/// The place that a path leads to.
pub(crate) fn place_of(path: &Path) -> Result<Place, CliError> {
    Place::of(path).map_err(|e| leads_nowhere(path, &e))
}

/// Where a path leads, and by which names: walked once, by a command that then goes by this alone.
pub(crate) fn resolved_path(path: &Path) -> Result<ResolvedPath, CliError> {
    ResolvedPath::of(path).map_err(|e| leads_nowhere(path, &e))
}

/// Returns whether two ways lead to one place.
pub(crate) fn is_one_place(a: &ResolvedPath, b: &ResolvedPath) -> Result<bool, CliError> {
    let place = |way: &ResolvedPath| way.to_compare().map_err(|e| leads_nowhere(way.given(), &e));
    Ok(place(a)? == place(b)?)
}

/// The path of that place.
pub(crate) fn resolved_for(path: &Path) -> Result<PathBuf, CliError> {
    resolved(path).map_err(|e| leads_nowhere(path, &e))
}

fn leads_nowhere(path: &Path, e: &io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
}

/// Refuses a file that could not be written, before the work is done that is to be written to it.
pub(crate) fn writable(target: &Path) -> Result<(), CliError> {
    begun(target).map(drop)
}

/// A file that is to take the target's place.
pub(crate) fn begun(target: &Path) -> Result<Replacement, CliError> {
    Replacement::of(target).map_err(|e| leads_nowhere(target, &e))
}

/// A file that is to take the target's place, by its own name: where that is a link, the file takes the link's.
pub(crate) fn begun_at(target: &ResolvedPath) -> Result<Replacement, CliError> {
    Replacement::of(target.entry()).map_err(|e| leads_nowhere(target.given(), &e))
}

/// A file that is to take the place of what the path leads to: where that is a link, it stays one.
pub(crate) fn begun_behind(target: &ResolvedPath) -> Result<Replacement, CliError> {
    spare_descriptors(target)?;
    Replacement::of(target.place()).map_err(|e| leads_nowhere(target.given(), &e))
}

/// Refuses to write to what the name of an open descriptor leads to, as `/dev/stdin`.
pub(crate) fn spare_descriptors(target: &ResolvedPath) -> Result<(), CliError> {
    if target.is_a_descriptors_name() {
        let reason = "is a name of an open descriptor: name the file itself";
        let e = io::Error::new(io::ErrorKind::InvalidInput, reason);
        return Err(leads_nowhere(target.given(), &e));
    }
    Ok(())
}

/// A number and what it counts.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Why stdout could not be written to, the first time that it could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Fails never: a verdict must not turn into another one because nobody could be told of it. [`end`] tells.
fn write(args: std::fmt::Arguments<'_>) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_fmt(args).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = UNWRITTEN.set(e.to_string());
        }
        _ => {}
    }
    Ok(())
}

/// Bytes in a unit that people read.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// The day of a time since 1970, in universal time: `2026-08-01 12:30 UTC`.
pub(crate) fn date(since: Duration) -> String {
    let seconds = since.as_secs();
    let (mut year, mut day) = (1970, seconds / 86_400);
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02} UTC", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_loses_nothing_and_steers_no_terminal() {
        let name = "\u{1b}[2K\n\u{202e}\u{85}\u{2028}\u{e0041}é";
        let text = escaped(&serde_json::to_string_pretty(&[name]).unwrap());
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [name]);
        assert!(text.chars().all(|c| c == '\n' || !disturbs_line(c)), "{text:?}");
    }

    #[test]
    fn dates_know_leap_years() {
        assert_eq!(date(Duration::from_secs(0)), "1970-01-01 00:00 UTC");
        assert_eq!(date(Duration::from_secs(951_782_400)), "2000-02-29 00:00 UTC");
        assert_eq!(date(Duration::from_secs(1_785_587_445)), "2026-08-01 12:30 UTC");
    }
}
