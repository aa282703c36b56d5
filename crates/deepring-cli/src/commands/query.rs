//! `deepring query`: a gateway is asked, and its answer shown only where the certificate that comes with it verifies.
//!
//! The gateway is the attacker. It may answer another question, give out another answer, an old one, or one that nobody recorded;
//! what verifies with the owner's key and the set of validators, about this nonce and these very tensors, is none of these. Which of
//! the owner's rings answers is the gateway's to choose, unless it is pinned.

mod gateway;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use deepring::{Digest, Finding, Owner, PublicKey, Section, TensorSpec, TensorValue};
use deepring_ledger::certificate::{Expected, VerifiedCertificate};
use deepring_ledger::{Certificate, LogTrust};
use serde_json::{Value, json};

use super::certificate::{refused, shown_json, validator_set};
use super::pinned::PinnedRing;
use super::receipt::{ComparedTensors, about_tensors, is_old};
use super::run::{targets, tensors};
use crate::begun::Begun;
use crate::cli::QueryArgs;
use crate::error::CliError;
use crate::inputs::{Pictures, read_queries};
use crate::output;
use crate::rings::{newer_than, open_store, refuse_decision_of, store_files};
use crate::top::{OutputSummary, output_summary};
use gateway::{Asking, GatewayClient};

pub(crate) fn query(args: &QueryArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let outcome = verified(args, trust);
    if args.json {
        output::verdict(outcome.as_ref(), |answer| document(args, answer))?;
    } else if let Ok(answer) = &outcome {
        print(args, answer)?;
    }
    outcome.map(|_| ())
}

/// An answer of which everything was verified.
struct Answer {
    shown: VerifiedCertificate,
    compared: ComparedTensors,
    outputs: Vec<Vec<TensorValue>>,
    /// The version that the trust store knows, where it is newer than the one that decided.
    newer: Option<u64>,
}

fn verified(args: &QueryArgs, trust: Option<&Path>) -> Result<Answer, CliError> {
    let gateway = GatewayClient::of(args)?;
    let owner = PublicKey::<Owner>::read(&args.owner)?;
    let validators = validator_set(&args.validators)?;
    let pinned = PinnedRing::of(&args.pin, owner)?;
    let store = open_store(trust)?;
    let read = read(args, trust);
    targets::spare_bound_folders(&args.output_dir, trust)?;
    targets::make_folders(&args.output_dir)?;
    let begin = |path: &PathBuf| Begun::at(path, read.iter().map(PathBuf::as_path), trust);
    let file = args.certificate.as_ref().map(begin).transpose()?;

    // What the inputs are called, the gateway says; who says it otherwise than the owner is found out below.
    let declared = gateway.inputs()?;
    let queries = read_queries(&args.input, &declared, Pictures::Sealed)?;
    let nonce = Digest::random()?;
    let answer = gateway.decide(&Asking { nonce, queries: &queries })?;

    let certificate = Certificate::decode(&answer.certificate).map_err(refused)?;
    let log = LogTrust::Validators(&validators);
    let expected = Expected { owner, log, require: args.require.into(), nonce: Some(nonce) };
    let shown = certificate.verify(&expected).map_err(refused)?;
    pinned.check(shown.outline())?;
    refuse_decision_of(store.as_ref(), shown.outline(), args.require)?;
    refuse_other_names(&declared, shown.outline().inputs())?;
    let compared = compared(&queries, &answer.outputs, &shown)?;

    if let Some(dir) = &args.output_dir {
        let folders = [(Some(dir.as_path()), shown.outline().outputs())];
        let kept = read.iter().chain(&args.certificate).cloned().collect();
        targets::spare_tensor_files(&folders, queries.len(), kept, trust)?;
        let numbered = answer.outputs.iter().enumerate();
        tensors::write(dir, numbered, queries.len(), &mut Default::default())?;
    }
    if let Some(file) = file {
        file.write(&answer.certificate)?;
    }
    let newer = newer_than(store.as_ref(), shown.outline());
    Ok(Answer { shown, compared, outputs: answer.outputs, newer })
}

/// Every file that is read, or that what was learnt is kept in.
fn read(args: &QueryArgs, trust: Option<&Path>) -> Vec<PathBuf> {
    let mut files = vec![args.owner.clone(), args.validators.clone()];
    let one =
        [&args.pin.ring, &args.api_key_file, &args.ca_cert, &args.client_cert, &args.client_key];
    files.extend(one.into_iter().flatten().cloned());
    files.extend(targets::input_files(&args.input));
    files.extend(store_files(trust));
    files
}

/// Files without a name went to the inputs in the order that the gateway told, and files with one to that name.
fn refuse_other_names(told: &[TensorSpec], signed: &[TensorSpec]) -> Result<(), CliError> {
    let names = |specs: &[TensorSpec]| specs.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    if names(told) == names(signed) {
        return Ok(());
    }
    Err(tampered("the gateway calls the network's inputs otherwise than its owner does"))
}

/// Holds the decision against what was asked, and what came: the one about all of it, and nothing else.
fn compared(
    queries: &[Vec<TensorValue>],
    outputs: &[Vec<TensorValue>],
    shown: &VerifiedCertificate,
) -> Result<ComparedTensors, CliError> {
    if outputs.len() != queries.len() || shown.decision().items().len() != queries.len() {
        return Err(tampered("the answer is about another number of queries than were asked"));
    }
    if shown.decision().salt().is_none() {
        return Err(tampered("the certificate is without the salt that tensors are compared with"));
    }
    about_tensors(queries, outputs, shown.decision())
}

fn tampered(reason: &str) -> CliError {
    CliError::refused(reason, vec![Finding::tampered(Section::File, reason)])
}

fn summaries(args: &QueryArgs, answer: &Answer) -> Vec<Vec<OutputSummary>> {
    let of = |query: &Vec<TensorValue>| {
        query.iter().map(|output| output_summary(output, &[], args.top)).collect()
    };
    answer.outputs.iter().map(of).collect()
}

/// The JSON promised to scripts, beside verdict and findings; all of it null where nothing verified.
fn document(args: &QueryArgs, answer: Option<&Answer>) -> Value {
    let compared = answer.map(|answer| &answer.compared);
    let newer = answer.and_then(|answer| answer.newer);
    let mut document = shown_json(answer.map(|answer| &answer.shown), compared, newer);
    let outputs: Option<Vec<Value>> = answer.map(|answer| {
        let several = answer.outputs.len() > 1;
        let numbered = summaries(args, answer).into_iter().enumerate();
        numbered
            .flat_map(|(query, outputs)| {
                outputs.into_iter().map(move |summary| {
                    let mut value = json!(summary);
                    if let (true, Some(map)) = (several, value.as_object_mut()) {
                        map.insert("query".to_owned(), query.into());
                    }
                    value
                })
            })
            .collect()
    });
    if let Some(map) = document.as_object_mut() {
        map.insert("outputs".to_owned(), json!(outputs));
    }
    document
}

fn print(args: &QueryArgs, answer: &Answer) -> Result<(), CliError> {
    for (query, outputs) in summaries(args, answer).iter().enumerate() {
        if answer.outputs.len() > 1 {
            let input = args.input.get(query).filter(|_| args.input.len() == answer.outputs.len());
            let asked = input.map_or(OsStr::new("query"), OsString::as_os_str);
            output::line(asked.display())?;
        }
        outputs.iter().try_for_each(OutputSummary::print)?;
    }
    output::line(format_args!("intact: decision {}", answer.shown.decision().id()))?;
    output::line(answer.compared.line())?;
    if let Some(newer) = answer.newer {
        output::line(is_old(answer.shown.outline().model_version(), newer))?;
    }
    output::text(&answer.shown)
}
