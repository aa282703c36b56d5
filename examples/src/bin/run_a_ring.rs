//! Runs what `seal_a_model` sealed: `cargo run -p deepring-examples --bin run_a_ring`.

use std::error::Error;
use std::path::Path;

use deepring::{DType, Host, PublicKey, SecretKey, TensorValue, Trust, UnverifiedRing};
use deepring_infer::{Session, SessionOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = Path::new("target/example");
    let owner = PublicKey::read(&dir.join("owner.pub"))?;
    let host = SecretKey::<Host>::read(&dir.join("host.key"))?;

    // An unverified ring can do nothing; only the owner's key makes it authentic.
    let ring = UnverifiedRing::open(&dir.join("model.ring"))?.authenticate(&Trust::owner(owner))?;

    // The session stays open: every query checks every parameter byte before it is used.
    let session = Session::open(ring, &[host], SessionOptions::default())?;
    let picture: Vec<u8> = (0..28 * 28).flat_map(|i| (i as f32 / 784.0).to_le_bytes()).collect();
    let input = TensorValue::new("image", DType::F32, vec![1, 1, 28, 28], picture)?;
    let outcome = session.run(vec![input])?;

    println!("{} has shape {:?}", outcome.outputs[0][0].name(), outcome.outputs[0][0].dims());
    println!("decision {}", outcome.decision.id());
    outcome.decision.write(&dir.join("decision.receipt"))?;
    Ok(())
}
