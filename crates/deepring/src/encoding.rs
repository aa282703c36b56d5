//! Canonical bytes: little-endian, length-prefixed, bounded before allocation, no trailing data.
//!
//! One value has one encoding, so a digest or a signature over the encoding binds the value. The
//! [`Reader`] refuses everything that the [`Writer`] does not write: over-long lists, strings that
//! are not UTF-8, flags other than 0 and 1, bytes after the end. Bounds are checked before memory
//! is reserved, so a length field cannot be used to exhaust it.

use thiserror::Error;

/// Longest string that a field may hold, in bytes.
pub(crate) const MAX_STRING: usize = 4096;

/// Why bytes are not a canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside a field.
    #[error("input ends inside `{field}`: {needed} bytes needed, {left} left")]
    Truncated {
        /// Field being read.
        field: &'static str,
        /// Bytes that the field needs.
        needed: usize,
        /// Bytes that the input still has.
        left: usize,
    },
    /// A length or count exceeds what the format allows.
    #[error("`{field}` is {found}, more than the {limit} the format allows")]
    TooLong {
        /// Field being read.
        field: &'static str,
        /// Length or count found.
        found: u64,
        /// The format's bound.
        limit: u64,
    },
    /// A field holds a value that the format does not define.
    #[error("`{field}` has no such value: {found}")]
    BadValue {
        /// Field being read.
        field: &'static str,
        /// Value found.
        found: u64,
    },
    /// Two fields that cannot both be true.
    #[error("`{field}` contradicts `{with}`")]
    Contradiction {
        /// Field being read.
        field: &'static str,
        /// Field that it does not fit.
        with: &'static str,
    },
    /// The file is in another version of its format.
    #[error("it is of format version {found}, and this version of deepring reads {known}")]
    OtherVersion {
        /// Version found.
        found: u16,
        /// The one that is read.
        known: u16,
    },
    /// The bytes are of another kind of file.
    #[error("it does not begin with `{expected}`")]
    WrongMagic {
        /// Magic with which files of this kind begin.
        expected: &'static str,
    },
    /// A string field is not UTF-8.
    #[error("`{field}` is not UTF-8")]
    NotUtf8 {
        /// Field being read.
        field: &'static str,
    },
    /// Bytes remain after the last field.
    #[error("{left} bytes follow the end")]
    Trailing {
        /// Bytes left over.
        left: usize,
    },
}

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes without a length of their own (fixed-size fields).
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// One byte: `v 1`.
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.raw(&[v])
    }

    /// An integer: `v 2`, little-endian.
    pub fn u16(&mut self, v: u16) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    /// An integer: `v 4`, little-endian.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    /// An integer: `v 8`, little-endian.
    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    /// A list's length: `n 4`, little-endian. Lists longer than `u32::MAX` do not occur: every list
    /// is bounded far below when it is built.
    pub fn count(&mut self, n: usize) -> &mut Self {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// A string: `length 2 || UTF-8`. A string longer than 4096 bytes is cut at a character
    /// boundary, so that everything written can be read.
    pub fn string(&mut self, s: &str) -> &mut Self {
        let mut end = s.len().min(MAX_STRING);
        while !s.is_char_boundary(end) {
            end -= 1;
        }
        self.u16(u16::try_from(end).unwrap_or(u16::MAX));
        self.raw(&s.as_bytes()[..end])
    }

    /// A byte string: `length 4 || bytes`.
    pub fn bytes(&mut self, b: &[u8]) -> &mut Self {
        self.count(b.len());
        self.raw(b)
    }

    /// Returns the bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Number of bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Takes fields off the front of a byte slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left.
    pub fn raw(&mut self, field: &'static str, n: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(n) else {
            return Err(DecodeError::Truncated { field, needed: n, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(head)
    }

    /// A fixed-size field.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.raw(field, N)?);
        Ok(out)
    }

    /// The beginning of a file: its magic, and the version of its format, which must be this one.
    ///
    /// # Errors
    /// [`DecodeError::WrongMagic`], [`DecodeError::OtherVersion`]; [`DecodeError::Truncated`] where
    /// fewer bytes are left.
    pub fn header(&mut self, magic: &'static [u8; 8], version: u16) -> Result<(), DecodeError> {
        if self.array::<8>("magic")? != *magic {
            let expected = std::str::from_utf8(magic).unwrap_or_default();
            return Err(DecodeError::WrongMagic { expected });
        }
        match self.u16("format version")? {
            found if found == version => Ok(()),
            found => Err(DecodeError::OtherVersion { found, known: version }),
        }
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where no byte is left.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    /// An integer of two bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    /// An integer of four bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// An integer of eight bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// A flag, `0` or `1` in one byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end; [`DecodeError::BadValue`] for another byte.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(DecodeError::BadValue { field, found: u64::from(found) }),
        }
    }

    /// A list's length, `n 4`. It is bounded by `limit`, and by the items that the bytes left can
    /// hold when each takes at least `min_item` bytes; so reserving `count` items is always safe.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left; [`DecodeError::TooLong`] beyond a
    /// bound.
    pub fn count(
        &mut self,
        field: &'static str,
        limit: usize,
        min_item: usize,
    ) -> Result<usize, DecodeError> {
        let found = self.u32(field)? as usize;
        let limit = limit.min(self.rest.len() / min_item.max(1));
        if found > limit {
            return Err(DecodeError::TooLong { field, found: found as u64, limit: limit as u64 });
        }
        Ok(found)
    }

    /// A string of at most 4096 bytes: `length 2 || UTF-8`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where fewer bytes are left; [`DecodeError::TooLong`] beyond 4096
    /// bytes; [`DecodeError::NotUtf8`].
    pub fn string(&mut self, field: &'static str) -> Result<String, DecodeError> {
        let n = usize::from(self.u16(field)?);
        if n > MAX_STRING {
            return Err(DecodeError::TooLong { field, found: n as u64, limit: MAX_STRING as u64 });
        }
        let raw = self.raw(field, n)?;
        match std::str::from_utf8(raw) {
            Ok(s) => Ok(s.to_owned()),
            Err(_) => Err(DecodeError::NotUtf8 { field }),
        }
    }

    /// A byte string of at most `limit` bytes: `length 4 || bytes`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] and [`DecodeError::TooLong`], as [`count`](Self::count).
    pub fn bytes(&mut self, field: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let n = self.count(field, limit, 1)?;
        self.raw(field, n)
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] where bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_input_is_refused_before_memory_is_reserved() {
        let mut w = Writer::new();
        w.u32(u32::MAX);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        assert!(matches!(r.count("items", usize::MAX, 8), Err(DecodeError::TooLong { .. })));
    }

    #[test]
    fn a_long_string_is_cut_at_a_character_and_reads_back() {
        let s = "é".repeat(MAX_STRING);
        let mut w = Writer::new();
        w.string(&s);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        assert_eq!(r.string("s").unwrap(), "é".repeat(MAX_STRING / 2));
        r.finish().unwrap();
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut r = Reader::new(&[1, 2]);
        r.u8("a").unwrap();
        assert_eq!(r.finish(), Err(DecodeError::Trailing { left: 1 }));
    }
}
