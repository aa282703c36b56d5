//! Where networks are made, sealed and opened: a temporary folder and two keys.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use deepring::{AuthenticRing, Check, DType, Host, Owner, SecretKey, TensorSpec, TensorValue};
use deepring::{Dim, Trust, UnverifiedRing};
use deepring_infer::sealing::Blocks;
use deepring_infer::{CutPolicy, PlainModel, Seal, Session, SessionOptions};
use deepring_onnx::synthetic::{Stack, SyntheticNetwork};
use tempfile::TempDir;

use super::{SEED, at};
use crate::error::{CliError, Exit};

/// Gone with everything in it when dropped.
pub(super) struct BenchFixture {
    folder: TempDir,
    owner: SecretKey<Owner>,
    host: SecretKey<Host>,
}

/// A network as a plain file and as a ring, and queries for it.
pub(super) struct BenchNetwork {
    pub(super) name: String,
    pub(super) model: PathBuf,
    pub(super) ring: PathBuf,
    pub(super) blocks: usize,
    pub(super) parameter_bytes: u64,
    pub(super) batch: Vec<Vec<TensorValue>>,
}

impl BenchFixture {
    /// In the folder given, or in the system's temporary one.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, CliError> {
        let dir = dir.map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new().prefix("deepring-bench-").tempdir_in(&dir);
        Ok(Self {
            folder: folder.map_err(at(&dir))?,
            owner: SecretKey::generate()?,
            host: SecretKey::generate()?,
        })
    }

    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn owner(&self) -> &SecretKey<Owner> {
        &self.owner
    }

    pub(super) fn host(&self) -> &SecretKey<Host> {
        &self.host
    }

    pub(super) fn network(
        &self,
        network: SyntheticNetwork,
        cut: CutPolicy,
        batch: usize,
    ) -> Result<BenchNetwork, CliError> {
        let folder = self.folder.path();
        let model = network.write(folder, SEED).map_err(at(folder))?;
        let batch = (0..batch as u64).map(|i| network.query(SEED + i)).collect();
        self.seal(network.name(), model, cut, batch)
    }

    /// Somebody's own network; its inputs are made up.
    pub(super) fn file(
        &self,
        model: &Path,
        cut: CutPolicy,
        batch: usize,
    ) -> Result<BenchNetwork, CliError> {
        let inputs = PlainModel::load(model, NonZeroUsize::new(1))?.inputs().to_vec();
        let query = |i: u64| {
            let mut random = fastrand::Rng::with_seed(SEED + i);
            inputs.iter().map(|spec| made_up(spec, &mut random)).collect::<Result<Vec<_>, _>>()
        };
        let batch = (0..batch as u64).map(query).collect::<Result<_, _>>()?;
        let name = model.file_stem().unwrap_or_default().to_string_lossy();
        self.seal(&name, model.to_owned(), cut, batch)
    }

    /// A stack of dense layers, only its plain file.
    pub(super) fn stack(&self, stack: Stack, name: &str) -> Result<PathBuf, CliError> {
        let path = self.path(format!("{name}.onnx"));
        stack.write(&path, SEED).map_err(at(&path))?;
        Ok(path)
    }

    pub(super) fn seal(
        &self,
        name: &str,
        model: PathBuf,
        cut: CutPolicy,
        batch: Vec<Vec<TensorValue>>,
    ) -> Result<BenchNetwork, CliError> {
        let ring = self.path(format!("{name}.ring"));
        let seal = Seal::new(&model, &self.owner).host(Blocks::All, self.host.public()).cut(cut);
        let sealed = seal.write(&ring, &|_| ())?;
        let (blocks, parameter_bytes) = (sealed.blocks.len(), sealed.parameter_bytes);
        Ok(BenchNetwork { name: name.to_owned(), model, ring, blocks, parameter_bytes, batch })
    }

    pub(super) fn authenticate(&self, ring: &Path) -> Result<AuthenticRing, CliError> {
        Ok(UnverifiedRing::open(ring)?.authenticate(&Trust::owner(self.owner.public()))?)
    }

    pub(super) fn session(
        &self,
        ring: &Path,
        check: Check,
        threads: Option<NonZeroUsize>,
        background_check: bool,
    ) -> Result<Session, CliError> {
        let ring = self.authenticate(ring)?;
        let options =
            SessionOptions { check, threads, background_check, ..SessionOptions::default() };
        Ok(Session::open(ring, std::slice::from_ref(&self.host), options)?)
    }
}

/// A tensor that fits: floats in -1..1, whole numbers 0 or 1, dimensions that are left open 1.
pub(super) fn made_up(
    spec: &TensorSpec,
    random: &mut fastrand::Rng,
) -> Result<TensorValue, CliError> {
    let open = |message: String| CliError::new(Exit::Failed, message);
    let dims = spec.dims.as_ref().ok_or_else(|| {
        open(format!("no input can be made up: `{}` is declared without a shape", spec.name))
    })?;
    let dims = dims.iter().map(|d| match d {
        Dim::Fixed(n) => *n,
        _ => 1,
    });
    let dims: Vec<u64> = dims.collect();
    let count = 0..dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).unwrap_or(0);
    let mut float = || random.f32() * 2.0 - 1.0;
    let data: Vec<u8> = match spec.dtype {
        DType::F32 => count.flat_map(|_| float().to_le_bytes()).collect(),
        DType::F64 => count.flat_map(|_| f64::from(float()).to_le_bytes()).collect(),
        whole => {
            let zeros = vec![0; whole.size().saturating_sub(1)];
            count.flat_map(|_| [&[random.u8(0..2)], zeros.as_slice()].concat()).collect()
        }
    };
    TensorValue::new(&spec.name, spec.dtype, dims, data)
        .map_err(|e| open(format!("no input can be made up: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_made_up_of_any_declared_shape() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut make = |dtype, dims| {
            let spec = TensorSpec { name: "x".into(), dtype, dims };
            made_up(&spec, &mut random)
        };
        let named = Dim::Named("batch".into());
        let floats = make(DType::F32, Some(vec![named, Dim::Fixed(3)])).unwrap();
        assert_eq!((floats.dims(), floats.data().len()), (&[1, 3][..], 12));
        let ids = make(DType::I64, Some(vec![Dim::Fixed(40)])).unwrap();
        let ids: Vec<i64> =
            ids.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
        assert!(ids.contains(&0) && ids.contains(&1) && ids.iter().all(|i| (0..2).contains(i)));
        assert!(make(DType::F32, None).is_err());
    }
}
