//! One query: the plain network beside the ring under each check, in one process.

#![allow(clippy::expect_used, reason = "a bench that cannot set up has nothing to measure")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use deepring::{Check, DType, Host, Owner, SecretKey, TensorValue, Trust, UnverifiedRing};
use deepring_infer::sealing::Blocks;
use deepring_infer::{PlainModel, Seal, Session, SessionOptions};

fn query(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let owner = SecretKey::<Owner>::generate().expect("randomness");
    let host = SecretKey::<Host>::generate().expect("randomness");
    for name in ["fashion-lenet5", "fashion-resnet8"] {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../zoo/{name}.onnx"));
        let path = dir.path().join(name);
        let seal = Seal::new(&model, &owner).host(Blocks::All, host.public());
        seal.write(&path, &|_| ()).expect("the zoo seals");
        let input = TensorValue::new("image", DType::F32, vec![1, 1, 28, 28], vec![0; 4 * 784])
            .expect("the shape fits");

        let mut group = c.benchmark_group(name);
        let plain = PlainModel::unaltered(&model, None).expect("the zoo loads");
        group.bench_function("plain", |b| {
            b.iter(|| black_box(plain.run(std::slice::from_ref(&input))));
        });
        for check in [Check::None, Check::Load, Check::Run, Check::Auto, Check::Compute] {
            let ring = UnverifiedRing::open(&path)
                .and_then(|r| r.authenticate(&Trust::owner(owner.public())))
                .expect("the ring is ours");
            let options = SessionOptions { check, ..SessionOptions::default() };
            let session = Session::open(ring, std::slice::from_ref(&host), options)
                .expect("the key opens it");
            group.bench_function(check.name(), |b| {
                b.iter(|| black_box(session.run(vec![input.clone()])));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, query);
criterion_main!(benches);
