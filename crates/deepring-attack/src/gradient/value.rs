//! A tensor on its way through the network, with the order of its dimensions.

use candle_core::{Result, Tensor};

/// A value. Between convolutions channels are kept last, so that a window's rows are whole stretches of memory and
/// a convolution is one product of matrices.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) tensor: Tensor,
    /// True if the second dimension of the network is the last of the tensor.
    pub(super) channels_last: bool,
}

impl Value {
    pub(super) fn plain(tensor: Tensor) -> Self {
        Self { tensor, channels_last: false }
    }

    pub(super) fn last(tensor: Tensor) -> Self {
        Self { tensor, channels_last: true }
    }

    /// In the order of the network.
    pub(super) fn in_order(&self) -> Result<Tensor> {
        let rank = self.tensor.rank();
        if !self.channels_last || rank < 3 {
            return Ok(self.tensor.clone());
        }
        let mut order: Vec<usize> = vec![0, rank - 1];
        order.extend(1..rank - 1);
        self.tensor.permute(order)?.contiguous()
    }

    /// With channels last.
    pub(super) fn with_channels_last(&self) -> Result<Tensor> {
        let rank = self.tensor.rank();
        if self.channels_last || rank < 3 {
            return Ok(self.tensor.clone());
        }
        let order: Vec<usize> =
            std::iter::once(0).chain(2..rank).chain(std::iter::once(1)).collect();
        self.tensor.permute(order)?.contiguous()
    }

    /// Where a dimension of the network is in the tensor.
    pub(super) fn place(&self, axis: usize) -> usize {
        match axis {
            0 => 0,
            _ if !self.channels_last => axis,
            1 => self.tensor.rank() - 1,
            _ => axis - 1,
        }
    }

    pub(super) fn map(&self, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self { tensor: of(&self.tensor)?, channels_last: self.channels_last })
    }
}
