//! The report of a measurement: rows for programs, tables for people, and the machine that it is true of.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::files::InLine;
use deepring_onnx::network_files;
use serde_json::{Value, json};

use super::at;
use super::machine::Machine;
use super::table::TextTable;
use crate::cli::BenchOutput;
use crate::error::CliError;
use crate::output;
use crate::own_names;

/// The findings of one measurement.
pub(super) struct BenchReport {
    /// The name of the measurement, and of the files.
    pub(super) bench: &'static str,
    /// How: what the numbers mean.
    pub(super) method: Value,
    pub(super) rows: Vec<Value>,
    pub(super) tables: Vec<TextTable>,
    /// Notes for a reader beside the numbers.
    pub(super) notes: Vec<String>,
}

/// The files of a measurement: JSON, and a table.
fn files(folder: &Path, bench: &str) -> [PathBuf; 2] {
    names(bench).map(|name| folder.join(name))
}

fn names(bench: &str) -> [String; 2] {
    let stem = match bench {
        "queries" => "bench".to_owned(),
        other => format!("bench-{other}"),
    };
    ["json", "md"].map(|extension| format!("{stem}.{extension}"))
}

/// Makes the folder that the measurement's files go to, and refuses files that could not be written or that the
/// measurement reads, before anything is measured.
pub(super) fn before_measuring(
    to: &BenchOutput,
    bench: &str,
    models: &[PathBuf],
    trust: Option<&Path>,
) -> Result<(), CliError> {
    let Some(folder) = &to.output else { return Ok(()) };
    let read: Vec<PathBuf> = models.iter().flat_map(|model| network_files(model)).collect();
    own_names::spare(folder, names(bench), read.iter().map(PathBuf::as_path), trust)?;
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    files(folder, bench).iter().try_for_each(|file| output::writable(file))
}

impl BenchReport {
    pub(super) fn give(&self, to: &BenchOutput) -> Result<(), CliError> {
        let machine = Machine::this();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let command: Vec<String> =
            std::env::args_os().map(|a| a.to_string_lossy().into_owned()).skip(1).collect();
        let document = json!({
            "bench": self.bench,
            "version": env!("CARGO_PKG_VERSION"),
            "command": format!("deepring {}", command.join(" ")),
            "date": output::date(since),
            "machine": machine,
            "method": self.method,
            "rows": self.rows,
            "notes": self.notes,
        });
        let mut about = vec![format!(
            "{} on {} ({}), {}",
            document["command"].as_str().unwrap_or_default(),
            machine.cpu,
            output::count(machine.cores, "core", "cores"),
            machine.system,
        )];
        about.push(format!(
            "version {}, {}",
            env!("CARGO_PKG_VERSION"),
            document["date"].as_str().unwrap_or_default()
        ));
        let mut notes = self.notes.clone();
        if !machine.optimised {
            notes.push("this build is not optimised: its numbers say nothing".to_owned());
        }
        if let Some(folder) = &to.output {
            self.write(folder, &document, &about, &notes)?;
        }
        if to.json {
            notes.iter().for_each(|note| output::note(format_args!("note: {note}")));
            return output::json(&document);
        }
        for line in about {
            output::line(line)?;
        }
        for table in &self.tables {
            output::text(format_args!("\n{}", table.text()))?;
        }
        for note in notes {
            output::text(format_args!("\nnote: {}", InLine(note)))?;
        }
        Ok(())
    }

    fn write(
        &self,
        folder: &Path,
        document: &Value,
        about: &[String],
        notes: &[String],
    ) -> Result<(), CliError> {
        let mut text = about.join("\n\n") + "\n";
        self.tables.iter().for_each(|table| text += &format!("\n{}", table.markdown()));
        notes.iter().for_each(|note| text += &format!("\nNote: {note}.\n"));
        for (path, content) in
            files(folder, self.bench).into_iter().zip([format!("{document:#}\n"), text])
        {
            deepring::files::replace_file(&path, content.as_bytes()).map_err(at(&path))?;
            output::note(format_args!("wrote {}", path.display()));
        }
        Ok(())
    }
}
