//! What trained networks of other people found (`conformance/networks.py`): each kind is right.

use crate::differences::answer;
use crate::graphs::{FLOAT, Net, int};
use crate::zoo::{floats, tensor};

/// Converters write names for all inputs that an operator may have, empty for those that are left out.
#[test]
fn inputs_left_out_behind_the_last_are_none() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["1", "1", "1"]).output("y", FLOAT);
    let w = net.floats("w", &[1, 4, 1], &[0.5, 0.25, -0.5, 1.0]);
    let r = net.floats("r", &[1, 4, 1], &[0.0; 4]);
    let names = ["x", &w, &r, "", "", "", "", ""];
    net.node("LSTM", &names, "y").attribute = vec![int("hidden_size", 1)];
    let y = answer(&net, vec![tensor("x", &[1, 1, 1], &[1.0])]);
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    // Input, output, forget and cell gate.
    let wanted = sigmoid(0.25) * (sigmoid(0.5) * 1f32.tanh()).tanh();
    assert!((floats(&y)[0] - wanted).abs() < 1e-6, "{} {wanted}", floats(&y)[0]);
}
