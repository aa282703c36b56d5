//! A client's question, as bytes: JSON, one array of NumPy's, or one picture.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use deepring::{Digest, TensorSpec, TensorValue};
use deepring_infer::inputs::{Preprocess, TensorText, decode_npy, decode_picture};
use deepring_infer::participant::Batch;
use serde::Deserialize;

use super::problem::Problem;

/// The header with the nonce of a body that has no place for it, or does not use it.
pub(crate) const NONCE_HEADER: &str = "deepring-nonce";

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Json,
    Npy,
    Picture,
}

/// Queries, and the nonce that the decision is to answer to.
#[derive(Debug, PartialEq)]
pub(crate) struct AskedBatch {
    pub(crate) batch: Batch,
    pub(crate) nonce: Option<Digest>,
}

/// The inputs that the network takes, as tensors or as a picture.
pub(crate) struct Takes {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) recipe: Option<Preprocess>,
    /// Most bytes of all tensors of a request.
    pub(crate) limit: usize,
}

/// Of a body in JSON: one query's inputs, or those of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuestionText<'a> {
    nonce: Option<String>,
    #[serde(borrow)]
    inputs: Option<Vec<TensorText<'a>>>,
    #[serde(borrow)]
    batch: Option<Vec<Vec<TensorText<'a>>>>,
}

impl BodyKind {
    /// As the headers say.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-npy" => Ok(Self::Npy),
            "image/png" | "image/jpeg" => Ok(Self::Picture),
            _ => Err(Problem::unknown_type()),
        }
    }
}

impl Takes {
    /// Decodes a body; takes time, as it may have to decode a picture.
    pub(crate) fn decode(
        &self,
        kind: BodyKind,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<AskedBatch, Problem> {
        let asked = match kind {
            BodyKind::Json => {
                let asked = json(body)?;
                let nonce = match (asked.nonce, nonce_header(headers)?) {
                    (Some(_), Some(_)) => {
                        return Err(Problem::bad(
                            "give the nonce in the body or in the header, not in both",
                        ));
                    }
                    (in_body, in_header) => in_body.or(in_header),
                };
                AskedBatch { nonce, ..asked }
            }
            BodyKind::Npy => {
                let value = decode_npy(body, &self.one()?.name).map_err(Problem::input)?;
                AskedBatch { batch: vec![vec![value]], nonce: nonce_header(headers)? }
            }
            BodyKind::Picture => {
                let name = &self.one()?.name;
                let recipe = self.recipe.as_ref().ok_or_else(|| {
                    Problem::input("the ring has no recipe for pictures: send tensors")
                })?;
                let value = decode_picture(body, name, recipe).map_err(Problem::input)?;
                AskedBatch { batch: vec![vec![value]], nonce: nonce_header(headers)? }
            }
        };
        let tensors = asked.batch.iter().flatten().map(|tensor: &TensorValue| tensor.data().len());
        let bytes = tensors.fold(0usize, usize::saturating_add);
        if asked.batch.is_empty() {
            return Err(Problem::input("a batch without a query"));
        }
        if bytes > self.limit {
            let limit = self.limit;
            return Err(Problem::input(format!(
                "the tensors of a request have {limit} bytes at the most"
            )));
        }
        Ok(asked)
    }

    /// The only input, which a body without a name is for.
    fn one(&self) -> Result<&TensorSpec, Problem> {
        match self.inputs.as_slice() {
            [one] => Ok(one),
            all => {
                let count = all.len();
                Err(Problem::input(format!(
                    "the network has {count} inputs: send them by name, in JSON"
                )))
            }
        }
    }
}

fn json(body: &[u8]) -> Result<AskedBatch, Problem> {
    let text: QuestionText<'_> = serde_json::from_slice(body)
        .map_err(|e| Problem::bad(format!("the body is not the JSON that is taken here: {e}")))?;
    let queries = match (text.inputs, text.batch) {
        (Some(inputs), None) => vec![inputs],
        (None, Some(batch)) => batch,
        _ => return Err(Problem::bad("give either `inputs` or `batch`")),
    };
    let values = |query: Vec<TensorText<'_>>| query.into_iter().map(TensorText::value).collect();
    let batch =
        queries.into_iter().map(values).collect::<Result<_, _>>().map_err(Problem::input)?;
    Ok(AskedBatch { batch, nonce: text.nonce.as_deref().map(nonce).transpose()? })
}

fn nonce_header(headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    let given = headers.get(NONCE_HEADER);
    given.map(|value| nonce(value.to_str().unwrap_or_default())).transpose()
}

fn nonce(text: &str) -> Result<Digest, Problem> {
    Digest::from_hex(text)
        .filter(|nonce| *nonce != Digest::NONE)
        .ok_or_else(|| Problem::bad("a nonce is 64 hexadecimal digits, not all zero"))
}

#[cfg(test)]
mod tests;
