//! Configurations, the cells of a grid: one attack on one network with one strength and one seed, and what each is called.

use serde::{Deserialize, Serialize};

use super::item::AttackItem;
use crate::attack::Options;
use crate::catalogue::{Dial, Family, Kind, Scope, Seeded, Targeted};
use crate::network::Layer;

/// How strong an attack is, in what the attack counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Strength {
    /// Standard deviations of noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rho: Option<f64>,
    /// Flipped bits, or the most that a search may flip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flips: Option<usize>,
    /// Which bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit: Option<u32>,
    /// Class to which inputs shall go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
    /// Class whose inputs shall go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<usize>,
}

/// One attack with one strength and one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// The attack.
    pub kind: Kind,
    /// The layer, where one is meant; drawn by the seed otherwise, if the attack is on one.
    pub layer: Option<String>,
    /// How strong.
    pub strength: Strength,
    /// Begins its numbers.
    pub seed: u64,
}

/// Over what the attacks of an evaluation are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Layers for attacks on one layer; empty for all of the network.
    pub layers: Vec<String>,
    /// Strengths of noise.
    pub rhos: Vec<f64>,
    /// Bits to flip.
    pub flips: Vec<usize>,
    /// Seeds 0, 1, ... up to so many.
    pub seeds: u64,
}

impl Strength {
    /// `rho 0.5`, `5 flips, bit 30`; empty where the attack has no strength.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = [
            self.rho.map(|r| format!("rho {r}")),
            self.flips.map(|n| format!("{n} flip{}", if n == 1 { "" } else { "s" })),
            self.bit.map(|b| format!("bit {b}")),
            self.source.map(|c| format!("from class {c}")),
            self.target.map(|c| format!("to class {c}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Configuration {
    /// The key that tells it from all other configurations of this network and these settings.
    #[must_use]
    pub fn key(&self, model: &str, settings: &str) -> String {
        let Strength { rho, flips, bit, target, source } = self.strength;
        let mut key = format!("{}|{}", model.get(..16).unwrap_or(model), self.kind);
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                key += &format!("|{name}={value}");
            }
        };
        add("layer", self.layer.clone());
        add("rho", rho.map(|v| v.to_string()));
        add("flips", flips.map(|v| v.to_string()));
        add("bit", bit.map(|v| v.to_string()));
        add("source", source.map(|v| v.to_string()));
        add("target", target.map(|v| v.to_string()));
        if self.kind.family() == Family::Search {
            // Older results ended by what training samples said, and are no results of this rule.
            key += "|stop=test";
        }
        format!("{key}|seed={}|{}", self.seed, settings.get(..16).unwrap_or(settings))
    }

    /// The options of the attack. A targeted attack that is told no class gets one by the seed, so that it is
    /// known here where inputs shall go.
    pub(super) fn options(&self, classes: usize) -> Options {
        let Strength { rho, flips, bit, mut target, mut source } = self.strength;
        let classes = classes.max(1) as u64;
        if target.is_none() && self.kind.targeted() != Targeted::No {
            let drawn = self.seed % classes;
            // What a class is sent to is another one.
            let taken = self.kind.targeted() == Targeted::OneClass
                && source.is_some_and(|source| source as u64 == drawn);
            target = Some(((drawn + u64::from(taken)) % classes) as usize);
        }
        if source.is_none() && self.kind.targeted() == Targeted::OneClass {
            let after = target.map_or(0, |t| t as u64 + 1);
            source = Some((after % classes) as usize);
        }
        Options { layer: self.layer.clone(), rho, flips, bit, target, source, seed: self.seed }
    }
}

/// The cells of an item on a network with these layers.
pub(super) fn expand(item: &AttackItem, grid: &Grid, layers: &[Layer]) -> Vec<Configuration> {
    let kind = item.kind;
    let places: Vec<Option<String>> =
        match (kind.scope() == Scope::OneLayer, item.layers.is_empty()) {
            (_, false) => item.layers.iter().cloned().map(Some).collect(),
            (true, true) if grid.layers.is_empty() => {
                layers.iter().map(|l| Some(l.name.clone())).collect()
            }
            (true, true) => grid.layers.iter().cloned().map(Some).collect(),
            (false, true) => vec![None],
        };
    let or = |own: &[f64], all: &[f64]| if own.is_empty() { all.to_vec() } else { own.to_vec() };
    let rhos: Vec<Option<f64>> = match kind.strength() == Dial::Noise {
        true => or(&item.rhos, &grid.rhos).into_iter().map(Some).collect(),
        false => vec![None],
    };
    let flips: Vec<Option<usize>> = match (kind.strength() == Dial::Flips, item.flips.is_empty()) {
        (true, true) => grid.flips.iter().copied().map(Some).collect(),
        (false, true) => vec![None],
        (_, false) => item.flips.iter().copied().map(Some).collect(),
    };
    let seeds = match (kind.seeded(), item.target) {
        (Seeded::Never, _) | (Seeded::UnlessTargeted, Some(_)) => 1,
        _ => grid.seeds.max(1),
    };
    let mut out: Vec<Configuration> = Vec::new();
    for layer in &places {
        for rho in &rhos {
            for flips in &flips {
                for seed in 0..seeds {
                    let AttackItem { bit, target, source, .. } = *item;
                    let strength = Strength { rho: *rho, flips: *flips, bit, target, source };
                    let cell = Configuration { kind, layer: layer.clone(), strength, seed };
                    if !out.contains(&cell) {
                        out.push(cell);
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::LinearOp;

    fn layers() -> Vec<Layer> {
        let layer = |name: &str| Layer {
            name: name.to_owned(),
            node: 0,
            op: LinearOp::Gemm,
            weight: format!("{name}.weight"),
            scale: None,
            bias: None,
            dims: vec![2, 2],
            out_axis: 0,
        };
        vec![layer("a"), layer("b"), layer("c")]
    }

    fn grid() -> Grid {
        Grid { layers: Vec::new(), rhos: vec![0.1, 1.0], flips: vec![1, 2, 5], seeds: 4 }
    }

    fn count(text: &str, grid: &Grid) -> usize {
        expand(&text.parse().unwrap(), grid, &layers()).len()
    }

    #[test]
    fn an_attack_is_spread_over_layers_strengths_and_seeds() {
        let all = grid();
        assert_eq!(count("noise-layer", &all), 3 * 2 * 4);
        assert_eq!(count("noise-layer:layer=b", &all), 2 * 4);
        assert_eq!(count("noise-layer:rho=3", &all), 3 * 4);
        assert_eq!(count("noise-layer:rho=3,rho=3", &all), 3 * 4);
        assert_eq!(count("noise-all", &all), 2 * 4);
        assert_eq!(count("sign-random", &all), 3 * 4);
        assert_eq!(count("bfa", &all), 4);
        let two = Grid { layers: vec!["a".into(), "c".into()], ..grid() };
        assert_eq!(count("reinit", &two), 2 * 4);
    }

    #[test]
    fn what_leaves_nothing_to_chance_has_one_seed() {
        assert_eq!(count("label-swap", &grid()), 1);
        assert_eq!(count("zero", &grid()), 3);
        assert_eq!(count("sign-dnl", &grid()), 3);
        assert_eq!(count("single-bias", &grid()), 4);
        assert_eq!(count("single-bias:target=2", &grid()), 1);
    }

    #[test]
    fn keys_are_stable_and_no_two_cells_share_one() {
        let mut keys = Vec::new();
        for text in ["noise-layer", "noise-all", "sign-random", "sign-random:bit=3", "bfa", "zero"]
        {
            let cells = expand(&text.parse().unwrap(), &grid(), &layers());
            keys.extend(cells.iter().map(|c| c.key("m0", "s0")));
        }
        assert_eq!(keys[0], "m0|noise-layer|layer=a|rho=0.1|seed=0|s0");
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
        let cell = &expand(&"zero".parse().unwrap(), &grid(), &layers())[0];
        assert_ne!(cell.key("m0", "s0"), cell.key("m1", "s0"));
        assert_ne!(cell.key("m0", "s0"), cell.key("m0", "s1"));
    }

    fn cells(text: &str) -> Vec<Configuration> {
        expand(&text.parse().unwrap(), &grid(), &layers())
    }

    #[test]
    fn a_targeted_attack_that_is_told_no_class_has_one_by_its_seed() {
        let seeded = |text: &str, seed: usize, classes| {
            let options = cells(text)[seed].options(classes);
            (options.source, options.target)
        };
        assert_eq!(seeded("single-bias", 3, 10), (None, Some(3)));
        assert_eq!(seeded("single-bias", 3, 2), (None, Some(1)));
        assert_eq!(seeded("tbfa-1-to-1", 2, 10), (Some(3), Some(2)));
        assert_eq!(seeded("tbfa-1-to-1", 3, 4), (Some(0), Some(3)));
        assert_eq!(seeded("tbfa-1-to-1:target=9", 0, 10), (Some(0), Some(9)));
        assert_eq!(seeded("tbfa-1-to-1:target=2,source=7", 1, 10), (Some(7), Some(2)));
        assert_eq!(seeded("zero", 0, 10), (None, None));
        // A network that answers nothing has no class to divide by.
        assert_eq!(seeded("single-bias", 3, 0), (None, Some(0)));
    }

    /// A cell that sends a class to itself would be none.
    #[test]
    fn no_seed_sends_a_class_to_itself() {
        let sources = ["", ":source=0", ":source=2", ":source=3"];
        for kind in ["tbfa-1-to-1", "tbfa-stealthy"] {
            for source in sources {
                for cell in cells(&format!("{kind}{source}")) {
                    for classes in [4, 5, 10] {
                        let Options { source, target, .. } = cell.options(classes);
                        assert_ne!(source, target, "{cell:?} of {classes}");
                        assert!(target.unwrap() < classes && source.unwrap() < classes);
                    }
                }
            }
        }
        // Where every input goes to the target, those of one class are no others.
        assert_eq!(cells("tbfa-n-to-1:source=3")[3].options(10).target, Some(3));
    }

    #[test]
    fn options_are_those_of_the_cell() {
        let cell = &cells("sign-random:layer=b,flips=5,bit=7")[3];
        let due = Options {
            layer: Some("b".to_owned()),
            flips: Some(5),
            bit: Some(7),
            seed: 3,
            ..Options::default()
        };
        assert_eq!(cell.options(10), due);
        assert_eq!(cells("noise-all")[4].options(10).rho, Some(1.0));
    }

    #[test]
    fn a_key_has_all_that_decides_a_cell_and_sixteen_letters_of_each_digest() {
        let strength = Strength {
            rho: Some(0.5),
            flips: Some(2),
            bit: Some(30),
            target: Some(4),
            source: Some(3),
        };
        let layer = Some("fc1".to_owned());
        let cell = Configuration { kind: Kind::Bfa, layer, strength, seed: 7 };
        assert_eq!(
            cell.key("0123456789abcdefXYZ", "fedcba9876543210XYZ"),
            "0123456789abcdef|bfa|layer=fc1|rho=0.5|flips=2|bit=30|source=3|target=4|stop=test|seed=7\
             |fedcba9876543210"
        );
        assert_eq!(strength.text(), "rho 0.5, 2 flips, bit 30, from class 3, to class 4");
        assert_eq!(Strength { flips: Some(1), ..Strength::default() }.text(), "1 flip");
        assert_eq!(Strength::default().text(), "");
    }
}
