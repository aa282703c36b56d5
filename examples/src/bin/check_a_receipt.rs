//! Checks the receipt of `run_a_ring`, as an auditor who has no secret would:
//! `cargo run -p deepring-examples --bin check_a_receipt`.

use std::error::Error;
use std::path::Path;

use deepring::receipt::Require;
use deepring::{Decision, PublicKey, Trust, UnverifiedRing};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = Path::new("target/example");
    let owner = PublicKey::read(&dir.join("owner.pub"))?;
    let ring = UnverifiedRing::open(&dir.join("model.ring"))?.authenticate(&Trust::owner(owner))?;

    let decision =
        Decision::read(&dir.join("decision.receipt"))?.verify(ring.outline(), Require::AsDealt)?;

    println!("decision {} of model version {}", decision.id(), decision.model_version());
    for receipt in decision.chain().receipts() {
        let last = receipt.end_block() - 1;
        println!("blocks {} to {last} ran on {}", receipt.first_block, receipt.host);
    }
    Ok(())
}
