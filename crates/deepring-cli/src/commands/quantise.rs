//! `deepring quantise`: a network with 8-bit weights.

use std::path::{Path, PathBuf};

use deepring_attack::Network;
use deepring_attack::quantise::Steps;
use deepring_onnx::network_files;

use crate::begun::Begun;
use crate::cli::Quantise;
use crate::error::CliError;
use crate::output;

pub(crate) fn quantise(args: &Quantise, trust: Option<&Path>) -> Result<(), CliError> {
    let read = network_files(&args.model);
    let begun = Begun::at(&args.output, read.iter().map(PathBuf::as_path), trust)?;
    let network = Network::read(&args.model)?;
    let how = Steps { half_range: args.half_range, coarse: args.coarse.clone() };
    let quantised = deepring_attack::quantise::quantise_with(&network, &how)?;
    begun.write(&quantised.encode())?;
    let layers = quantised.layers().iter().filter(|l| l.scale.is_some()).count();
    output::line(format_args!(
        "wrote {}: the weights of {} in 8 bits",
        args.output.display(),
        output::count(layers, "layer", "layers")
    ))
}
