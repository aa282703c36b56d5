//! Seals a network of the zoo into a ring: `cargo run -p deepring-examples --bin seal_a_model`.

use std::error::Error;
use std::path::Path;

use deepring::files::write_key_pair;
use deepring::{Host, Owner, SecretKey};
use deepring_infer::Seal;
use deepring_infer::sealing::Blocks;

fn main() -> Result<(), Box<dyn Error>> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zoo/fashion-lenet5.onnx");
    let dir = Path::new("target/example");
    std::fs::create_dir_all(dir)?;

    // Keys are never overwritten; a second run keeps the first one's.
    let (owner, host) = if dir.join("owner.key").exists() {
        (
            SecretKey::<Owner>::read(&dir.join("owner.key"))?,
            SecretKey::<Host>::read(&dir.join("host.key"))?,
        )
    } else {
        let (owner, host) = (SecretKey::<Owner>::generate()?, SecretKey::<Host>::generate()?);
        write_key_pair(dir, &owner)?;
        write_key_pair(dir, &host)?;
        (owner, host)
    };

    let sealed = Seal::new(&model, &owner)
        .host(Blocks::All, host.public())
        .preprocess("color=gray,scale=1/255,layout=NCHW".parse()?)
        .write(&dir.join("model.ring"), &|_| ())?;

    println!("sealed {} blocks, ring digest {}", sealed.blocks.len(), sealed.sealed.digest);
    Ok(())
}
