//! Shared blocks: one key and one table of tags for all their users, which each of them compares.

use deepring_onnx::proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use prost::Message as _;

use super::*;

/// Rows and numbers in a row: the weight takes more than one piece.
const SHAPE: [i64; 2] = [10, 160];

/// Four times a product with `w`; the first two add `c` besides. So four blocks use one shared block, and two another.
fn repeated() -> ModelProto {
    let value = |name: &str| {
        let dim = |n| DimensionProto { dim_value: Some(n), dim_param: None };
        let shape = Some(TensorShapeProto { dim: SHAPE.map(dim).to_vec() });
        let tensor_type = Some(TensorTypeProto { elem_type: Some(1), shape });
        let r#type = Some(TypeProto { tensor_type, ..TypeProto::default() });
        ValueInfoProto { name: Some(name.into()), r#type }
    };
    let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let tensor = |name: &str, dims: [i64; 2], step: f64| TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        raw_data: Some(
            (0..dims[0] * dims[1])
                .flat_map(|i| ((i as f64 * step).sin() as f32 / 8.0).to_le_bytes())
                .collect(),
        ),
        ..TensorProto::default()
    };
    let mut nodes = Vec::new();
    for i in 0..4 {
        let (from, product) = (format!("h{i}"), format!("m{i}"));
        let (sum, to) = (format!("s{i}"), format!("h{}", i + 1));
        nodes.push(node("MatMul", &[&from, "w"], &product));
        let more = if i < 2 { "c" } else { &product };
        nodes.push(node("Add", &[&product, more], &sum));
        nodes.push(node("Tanh", &[&sum], &to));
    }
    let graph = GraphProto {
        name: Some("net".into()),
        node: nodes,
        initializer: vec![tensor("w", [160, 160], 0.7), tensor("c", SHAPE, 0.3)],
        input: vec![value("h0")],
        output: vec![value("h4")],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn repeating_host(check: Check) -> (RingHost<Rten>, Values) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, repeated().encode_to_vec()).unwrap();
    let host = host_of(&path, check);
    assert_eq!((host.ring.layers().len(), host.ring.shared().len()), (4, 2));
    let x: Vec<u8> = (0..1600u16).flat_map(|i| (f32::from(i) * 0.37).sin().to_le_bytes()).collect();
    let x = TensorValue::new("h0", deepring::DType::F32, vec![10, 160], x).unwrap();
    let values = HashMap::from([("h0".to_owned(), host.engine.import(&x).unwrap())]);
    (host, values)
}

fn use_all(host: &RingHost<Rten>, values: &Values) -> Values {
    let mut values = values.clone();
    for index in 1..=4 {
        use_block(host, index, &mut values, |_| (), |_| ()).unwrap();
    }
    values
}

/// The state before the use of a block.
fn before(host: &RingHost<Rten>, values: &Values, index: u32) -> Values {
    let mut values = values.clone();
    for earlier in 1..index {
        use_block(host, earlier, &mut values, |_| (), |_| ()).unwrap();
    }
    values
}

fn shared_secrets<T>(host: &RingHost<Rten>, index: u32, f: impl FnOnce(&Region) -> T) -> T {
    host.shared.get(index).unwrap().tags().unwrap().with_vault(f)
}

fn shared_of(host: &RingHost<Rten>, user: u32) -> Vec<u32> {
    host.header(user).unwrap().shared_blocks().collect()
}

#[test]
fn a_shared_tag_or_key_that_is_changed_is_refused_by_whoever_uses_it() {
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let (mut host, values) = repeating_host(check);
        let wanted = use_all(&host, &values);
        for user in 1..=4 {
            let start = before(&host, &values, user);
            for shared in shared_of(&host, user) {
                let len = shared_secrets(&host, shared, |vault| vault.bytes().len());
                // Key, tag of the table, and a tag of each piece.
                assert_eq!((len - 48) % 16, 0);
                for at in (0..len).step_by(5) {
                    shared_secrets(&host, shared, |vault| {
                        assert!(vault.tamper(at, &[vault.bytes()[at] ^ 0x10]));
                    });
                    let met = use_block(&host, user, &mut start.clone(), |_| (), |_| ());
                    let met = met.unwrap_err();
                    assert!(met.reason.contains("what the check keeps"), "{check} {at}: {met}");
                    assert_eq!(met.block, Some(user));
                    // Nobody else believes it either.
                    let others = (1..=4).filter(|i| *i != user);
                    for other in others.filter(|i| shared_of(&host, *i).contains(&shared)) {
                        let begun = host.loaded_block(other).unwrap().begin().map(drop);
                        assert!(matches!(begun, Err(RunError::Tampered(_))), "{check} {other}");
                    }
                    host.load_block(user).unwrap();
                    assert_close(&use_all(&host, &values), &wanted, host.header(4).unwrap());
                }
            }
        }
    }
}

/// Nor is a block opened, the others of its host long since being so, that would have to believe it.
#[test]
fn a_block_does_not_open_on_tags_that_are_not_what_they_were() {
    let (mut host, values) = repeating_host(Check::Run);
    let shared = shared_of(&host, 4)[0];
    shared_secrets(&host, shared, |vault| assert!(vault.tamper(48, &[vault.bytes()[48] ^ 1])));
    let refused = host.open_block(4).unwrap_err();
    assert!(refused.finding().is_some_and(|f| f.block == Some(4)), "{refused}");
    host.load_block(4).unwrap();
    use_all(&host, &values);
}

#[test]
fn an_edit_of_any_shared_piece_is_refused_by_each_user_by_name_and_place() {
    let share = deepring::receipt::SampleRate::new(0.5).unwrap();
    for check in [Check::Spot(share), Check::Run, Check::Auto, Check::Compute] {
        let (mut host, values) = repeating_host(check);
        for user in 1..=4 {
            let start = before(&host, &values, user);
            let header = host.header(user).unwrap().clone();
            for part in header.parts.iter().filter(|p| p.shared.is_some()) {
                for at in [part.offset, part.end() - 2] {
                    let at = at as usize;
                    flip(host.live_bytes(user).unwrap(), at, 0x01);
                    // Under products, what they do not tell has its turn.
                    let met = (0..crate::checks::ROTATION).find_map(|_| {
                        use_block(&host, user, &mut start.clone(), |_| (), |_| ()).err()
                    });
                    let met = met.unwrap_or_else(|| panic!("{check} {user} {}", part.label()));
                    assert_eq!(met.tensor.as_deref(), Some(part.label()), "{check} {user}");
                    assert_eq!(met.bytes, Some([at as u64, at as u64 + 1]), "{check} {user}");
                    assert_eq!(met.block, Some(user));
                    host.load_block(user).unwrap();
                    use_all(&host, &values);
                }
            }
        }
    }
}

/// Who tried to pass under a key has another one before him when the block that refused him is in use again; and the blocks
/// that refused nobody are in use all the time, their own secrets as they were.
#[test]
fn a_user_that_is_opened_anew_has_other_shared_keys_and_the_others_go_on() {
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let (mut host, values) = repeating_host(check);
        let wanted = use_all(&host, &values);
        let table = |host: &RingHost<Rten>, shared| {
            shared_secrets(host, shared, |vault| vault.bytes().to_vec())
        };
        let own = |host: &RingHost<Rten>, user| secrets(host, user, |vault| vault.bytes().to_vec());
        let shared = shared_of(&host, 1);
        assert_eq!(shared.len(), 2);
        let (tables, theirs): (Vec<_>, Vec<_>) = (
            shared.iter().map(|s| table(&host, *s)).collect(),
            (2..=4).map(|user| own(&host, user)).collect(),
        );
        let pages = |host: &RingHost<Rten>| {
            let bytes = |s: &u32| host.shared.get(*s).unwrap().region().bytes().as_ptr();
            shared.iter().map(bytes).collect::<Vec<_>>()
        };
        let places = pages(&host);
        // Of its own bytes, so that what is shared is right.
        let graph = host.header(1).unwrap().parts.iter().find(|p| p.kind == PartKind::Graph);
        let at = graph.unwrap().offset as usize;
        flip(host.live_bytes(1).unwrap(), at, 0x01);
        use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap_err();
        let mut later = wanted.clone();
        for user in 2..=4 {
            use_block(&host, user, &mut later, |_| (), |_| ()).unwrap();
        }
        host.load_block(1).unwrap();
        for (shared, old) in shared.iter().zip(&tables) {
            let new = table(&host, *shared);
            assert!(new.chunks(16).zip(old.chunks(16)).all(|(a, b)| a != b), "{check}");
        }
        assert_eq!(pages(&host), places, "the bytes were right and stay where they are");
        for (user, old) in (2..=4).zip(theirs) {
            assert_eq!(own(&host, user), old, "{check} {user}");
        }
        assert_close(&use_all(&host, &values), &wanted, host.header(4).unwrap());
    }
}
