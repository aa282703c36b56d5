//! `deepring quantise`: a network with 8-bit weights.

use deepring_attack::Network;

use crate::cli::Quantise;
use crate::error::CliError;
use crate::output;

pub(crate) fn quantise(args: &Quantise) -> Result<(), CliError> {
    output::keep(&args.output, [args.model.as_path()])?;
    output::writable(&args.output)?;
    let network = Network::read(&args.model)?;
    let quantised = deepring_attack::quantise(&network)?;
    quantised.write(&args.output)?;
    let layers = quantised.layers().iter().filter(|l| l.scale.is_some()).count();
    output::line(format_args!(
        "wrote {}: the weights of {} in 8 bits",
        args.output.display(),
        output::count(layers, "layer", "layers")
    ))
}
