//! The manifest: the facts about the network as a whole that Genesis seals.

use serde::Serialize;

use crate::encoding::{DecodeError, Reader, Writer};

/// Most labels that a manifest may hold.
const MAX_LABELS: usize = 1 << 20;

/// The data that a query needs besides the layers. Part of Genesis' encrypted body, so that a label
/// or a pre-processing constant is as well protected as a weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The network's name.
    pub model_name: String,
    /// The program that exported the network, as the ONNX file states it.
    pub producer: String,
    /// ONNX operator set of the default domain.
    pub opset: u64,
    /// Conversion of image inputs to tensors, in the syntax of `--preprocess`; empty for none.
    pub preprocess: String,
    /// Class labels in the order of the output's elements; empty for none.
    pub labels: Vec<String>,
}

impl Manifest {
    /// The manifest's canonical bytes: `model name || producer || opset 8 || preprocess || count 4
    /// || labels`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.string(&self.model_name).string(&self.producer).u64(self.opset);
        w.string(&self.preprocess).count(self.labels.len());
        for label in &self.labels {
            w.string(label);
        }
        w.finish()
    }

    /// Decodes canonical bytes strictly.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let model_name = r.string("model name")?;
        let producer = r.string("producer")?;
        let opset = r.u64("opset")?;
        let preprocess = r.string("preprocess")?;
        let n = r.count("labels", MAX_LABELS, 2)?;
        let labels = (0..n).map(|_| r.string("label")).collect::<Result<_, _>>()?;
        r.finish()?;
        Ok(Self { model_name, producer, opset, preprocess, labels })
    }
}
