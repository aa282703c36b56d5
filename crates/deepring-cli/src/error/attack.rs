//! Errors of attacks, of their evaluation and of the samples that they are measured on.

use deepring_attack::AttackError;
use deepring_attack::evaluate::{EvaluateError, JournalError};
use deepring_attack::evaluator::EvaluatorError;
use deepring_attack::network::NetworkError;
use deepring_attack::quantise::QuantiseError;
use deepring_attack::ring::RingAttackError;
use deepring_attack::samples::SamplesError;

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
            AttackError::Evaluator(e) => e.into(),
            _ => failed(message),
        }
    }
}

impl From<RingAttackError> for CliError {
    fn from(e: RingAttackError) -> Self {
        failed(with_causes(&e))
    }
}

impl From<EvaluatorError> for CliError {
    fn from(e: EvaluatorError) -> Self {
        match e {
            EvaluatorError::Samples(e) => e.into(),
            EvaluatorError::Run(e) => Self::from(e)
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

impl From<EvaluateError> for CliError {
    fn from(e: EvaluateError) -> Self {
        let message = with_causes(&e);
        match e {
            EvaluateError::Nothing => Self::usage(message).hint("give `--attack` or `--suite`"),
            EvaluateError::NoLayer { there, .. } => {
                Self::usage(message).hint(format!("the layers are {}", there.join(", ")))
            }
            EvaluateError::Samples(SamplesError::NoRecipe { .. }) => {
                failed(message).hint("say how pixels become inputs with `--preprocess`")
            }
            EvaluateError::Samples(SamplesError::Unknown { .. }) => failed(message).hint(
                "`--data` takes idx files, CIFAR-10's .bin files, inputs.npy with labels.npy, or NAME_LABEL.jpg",
            ),
            EvaluateError::Network(NetworkError::Import(_)) => {
                failed(message).hint("`--model` takes ONNX files")
            }
            EvaluateError::Evaluator(_) => failed(message).hint(
                "the network must take one f32 input of the data's shape and give a row of scores",
            ),
            EvaluateError::Journal(JournalError::Busy { .. }) => {
                failed(message).hint("wait for it, or write to another folder with `-o`")
            }
            EvaluateError::Journal(JournalError::Malformed { .. }) => {
                failed(message).hint("write to another folder with `-o`, or take the line out")
            }
            _ => failed(message),
        }
    }
}
