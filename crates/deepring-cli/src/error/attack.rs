//! Errors of attacks and of the samples that they are measured on.

use deepring_attack::{AttackError, JudgeError, NetworkError, QuantiseError, SamplesError};

use super::{CliError, failed, with_causes};

impl From<AttackError> for CliError {
    fn from(e: AttackError) -> Self {
        let message = with_causes(&e);
        match e {
            AttackError::NoLayer { there, .. } => {
                Self::usage(message).hint(format!("the layers are {}", there.join(", ")))
            }
            AttackError::Option { .. } => Self::usage(message),
            AttackError::NeedsSamples { .. } => {
                Self::usage(message).hint("give a folder of labelled samples with `--data`")
            }
            AttackError::NeedsGradients { .. } => failed(message)
                .hint("build with them: `cargo build --release --features gradients`"),
            AttackError::NotOnNetworks { .. } => {
                Self::usage(message).hint("give a ring in place of the network")
            }
            AttackError::Judge(e) => e.into(),
            _ => failed(message),
        }
    }
}

impl From<JudgeError> for CliError {
    fn from(e: JudgeError) -> Self {
        match e {
            JudgeError::Samples(e) => e.into(),
            JudgeError::Run(e) => Self::from(e)
                .hint("do the samples fit the network? `--preprocess` makes inputs of pixels"),
            other => failed(with_causes(&other)),
        }
    }
}

impl From<SamplesError> for CliError {
    fn from(e: SamplesError) -> Self {
        let message = with_causes(&e);
        match e {
            SamplesError::Unknown { .. } => failed(message).hint(
                "a folder has MNIST's or CIFAR-10's files, inputs.npy and labels.npy, or pictures named *_LABEL.jpg",
            ),
            SamplesError::NoRecipe { .. } => failed(message)
                .hint("say how pictures become inputs, as `--preprocess resize=256,crop=224,scale=1/255`"),
            _ => failed(message),
        }
    }
}

impl From<NetworkError> for CliError {
    fn from(e: NetworkError) -> Self {
        failed(with_causes(&e))
    }
}

impl From<QuantiseError> for CliError {
    fn from(e: QuantiseError) -> Self {
        failed(with_causes(&e))
    }
}
