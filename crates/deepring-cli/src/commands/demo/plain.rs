//! The unprotected network: asked as it is, and after an attacker wrote to its file.

use deepring_infer::{PlainModel, RunError};

use super::answers::Answers;
use super::attacks::Attack;
use super::edits::edit_plain_file;
use super::setting::{PLAIN, Setting};
use crate::error::CliError;

/// What the attacked plain network did: it answered, or it (or the engine) objected.
#[derive(Debug)]
pub(super) enum PlainOutcome {
    Answered(Answers),
    Objected(String),
}

/// One query a test image, one after the other.
pub(super) fn ask_plain(model: &PlainModel, setting: &Setting) -> Result<Answers, RunError> {
    let outputs =
        setting.queries.iter().map(|query| model.run(query)).collect::<Result<Vec<_>, _>>()?;
    Ok(Answers::of(&outputs))
}

/// Step 3: writes the attacked network beside the intact one, and asks it as anybody would.
pub(super) fn attack_plain(setting: &Setting, attack: &Attack) -> Result<PlainOutcome, CliError> {
    let mut file = setting.folder.read(PLAIN)?;
    for edit in &attack.edits {
        edit_plain_file(&mut file, edit)?;
    }
    let path = setting.folder.write(&attacked_file(attack), &file)?;
    let model = match PlainModel::load(&path, None) {
        Ok(model) => model,
        Err(e) => return Ok(PlainOutcome::Objected(e.to_string())),
    };
    Ok(match ask_plain(&model, setting) {
        Ok(answers) => PlainOutcome::Answered(answers),
        Err(e) => PlainOutcome::Objected(e.to_string()),
    })
}

pub(super) fn attacked_file(attack: &Attack) -> String {
    format!("attacked-{}.onnx", attack.slug)
}

impl PlainOutcome {
    pub(super) fn answers(&self) -> Option<&Answers> {
        match self {
            Self::Answered(answers) => Some(answers),
            Self::Objected(_) => None,
        }
    }
}
