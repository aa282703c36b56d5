//! A window as it is sealed for a neighbour.

use deepring::codec::{DecodeError, Reader, Writer};

use super::{Pads, Window};

impl Window {
    /// Fourteen or ten `u32` and a byte. `None` if a number does not fit.
    pub(crate) fn encode(&self, w: &mut Writer) -> Option<()> {
        let shape = [self.outputs, self.inputs_per_group, self.group];
        let moves = [self.kernel, self.strides, self.dilations];
        for n in shape.iter().chain(moves.as_flattened()) {
            w.u32(u32::try_from(*n).ok()?);
        }
        match &self.pads {
            Pads::Explicit(before, after) => {
                w.u8(0);
                for n in before.iter().chain(after) {
                    w.u32(u32::try_from(*n).ok()?);
                }
            }
            Pads::SameUpper => _ = w.u8(1),
        }
        Some(())
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut one = |field| match r.u32(field)? {
            0 => Err(DecodeError::BadValue { field, found: 0 }),
            n => Ok(n as usize),
        };
        let (outputs, inputs_per_group, group) =
            (one("outputs")?, one("inputs of a group")?, one("groups")?);
        let mut pair = |field| Ok::<_, DecodeError>([one(field)?, one(field)?]);
        let (kernel, strides, dilations) = (pair("kernel")?, pair("strides")?, pair("dilations")?);
        if !outputs.is_multiple_of(group) {
            return Err(DecodeError::BadValue { field: "groups", found: group as u64 });
        }
        let pads = match r.u8("padding")? {
            0 => {
                let mut pair =
                    || Ok::<_, DecodeError>([r.u32("pads")? as usize, r.u32("pads")? as usize]);
                Pads::Explicit(pair()?, pair()?)
            }
            1 => Pads::SameUpper,
            found => {
                return Err(DecodeError::BadValue { field: "padding", found: u64::from(found) });
            }
        };
        Ok(Self { outputs, inputs_per_group, group, kernel, strides, dilations, pads })
    }
}
