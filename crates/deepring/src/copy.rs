//! Copying ranges of a ring file with a bounded buffer.

use std::io::{self, Write};
use std::ops::Range;

use crate::storage::Storage;

const BUFFER_LEN: u64 = 1 << 20;

/// Copies `range` of `from` to `to`.
pub(crate) fn copy_range(
    from: &dyn Storage,
    range: Range<u64>,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut buf = vec![0; usize::try_from(BUFFER_LEN.min(range.end - range.start)).unwrap_or(0)];
    let mut at = range.start;
    while at < range.end {
        let n = usize::try_from((range.end - at).min(BUFFER_LEN)).unwrap_or(0);
        from.read_at(at, &mut buf[..n])?;
        to.write_all(&buf[..n])?;
        at += n as u64;
    }
    Ok(())
}
