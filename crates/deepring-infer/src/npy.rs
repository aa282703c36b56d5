//! Reading and writing `.npy` files (NumPy format versions 1 to 3).

use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

use deepring::files::open_plain;
use deepring::receipt::ValueError;
use deepring::{DType, TensorValue};
use npyz::{DType as NpyType, NpyHeader, Order, TypeStr, WriterBuilder as _};
use thiserror::Error;

/// Longest header text that is read; NumPy's own are below 200 bytes.
const MAX_HEADER: u64 = 1 << 14;

/// Most bytes of a tensor that the format takes (docs/FORMAT.md), so that no more are read.
const MAX_DATA: u64 = 1 << 31;

/// Why a `.npy` file was not read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The file system refused, or the header is not NumPy's.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The element type has no counterpart in ONNX, or is big-endian.
    #[error("{}: element type {found} cannot be used", path.display())]
    DType {
        /// The file.
        path: PathBuf,
        /// NumPy's name of the type.
        found: String,
    },
    /// The file is shorter or longer than its header says.
    #[error("{}: shape {shape:?} needs {}, the file has {found}", path.display(), needed(*expected))]
    Length {
        /// The file.
        path: PathBuf,
        /// Shape in the header.
        shape: Vec<u64>,
        /// Bytes that the shape needs; `None` if that overflows.
        expected: Option<u64>,
        /// Bytes after the header.
        found: u64,
    },
    /// The tensor exceeds a limit of the format.
    #[error("{}: {source}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which limit.
        source: ValueError,
    },
}

/// Bytes in words.
fn needed(expected: Option<u64>) -> String {
    expected.map_or_else(|| "more bytes than can be counted".to_owned(), |n| format!("{n} bytes"))
}

/// Reads a tensor; `name` is the input that it is for.
///
/// The length is compared with the file's before memory is reserved, so a header cannot ask for more
/// than there is.
///
/// # Errors
/// [`NpyError::Io`] where the file cannot be read or its header is not NumPy's; [`NpyError::DType`] for other element types;
/// [`NpyError::Length`] where the file is not as long as its header says; [`NpyError::Value`] beyond a limit of the format.
pub fn read_npy(path: &Path, name: &str) -> Result<TensorValue, NpyError> {
    let io = |source| NpyError::Io { path: path.into(), source };
    let file = open_plain(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    tensor_of(BufReader::new(file), len, path, name)
}

/// The same of a file's bytes; errors say `name` for its path.
///
/// # Errors
/// As [`read_npy`].
pub fn decode_npy(bytes: &[u8], name: &str) -> Result<TensorValue, NpyError> {
    tensor_of(Cursor::new(bytes), bytes.len() as u64, Path::new(name), name)
}

fn tensor_of(
    mut reader: impl Read + Seek,
    len: u64,
    path: &Path,
    name: &str,
) -> Result<TensorValue, NpyError> {
    let io = |source| NpyError::Io { path: path.into(), source };
    let text = header_bytes(&mut reader).map_err(io)?;
    if count_overflows(&text) {
        let found = len.saturating_sub(text.len() as u64);
        return Err(NpyError::Length {
            path: path.into(),
            shape: Vec::new(),
            expected: None,
            found,
        });
    }
    if is_nested(&text) {
        return Err(NpyError::DType { path: path.into(), found: "with fields".to_owned() });
    }
    let header = NpyHeader::from_reader(&mut Cursor::new(&text)).map_err(io)?;
    let dtype = element_type(&header.dtype())
        .ok_or_else(|| NpyError::DType { path: path.into(), found: header.dtype().descr() })?;
    let shape = header.shape().to_vec();
    let found = len.saturating_sub(reader.stream_position().map_err(io)?);
    let expected = shape.iter().try_fold(dtype.size() as u64, |n, d| n.checked_mul(*d));
    if expected != Some(found) {
        return Err(NpyError::Length { path: path.into(), shape, expected, found });
    }
    if found > MAX_DATA {
        let source = ValueError::TooLarge { name: name.to_owned() };
        return Err(NpyError::Value { path: path.into(), source });
    }
    let mut data = Vec::new();
    reader.read_to_end(&mut data).map_err(io)?;
    if header.order() == Order::Fortran {
        data = row_major(&data, &shape, dtype.size());
    }
    TensorValue::new(name, dtype, shape, data)
        .map_err(|source| NpyError::Value { path: path.into(), source })
}

/// Writes a tensor, whole or not at all.
///
/// # Errors
/// [`NpyError::Io`] where the file cannot be written; [`NpyError::DType`] where NumPy has no such element type.
pub fn write_npy(path: &Path, tensor: &TensorValue) -> Result<(), NpyError> {
    let io = |source| NpyError::Io { path: path.into(), source };
    let text = match tensor.dtype() {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::I8 => "|i1",
        DType::U16 => "<u2",
        DType::I16 => "<i2",
        DType::U32 => "<u4",
        DType::I32 => "<i4",
        DType::U64 => "<u8",
        DType::I64 => "<i8",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        // numpy has no such type; what adds it there (ml_dtypes) writes two bytes of no kind.
        DType::Bf16 => "<V2",
    };
    let dtype: TypeStr =
        text.parse().map_err(|_| NpyError::DType { path: path.into(), found: text.to_owned() })?;
    let mut bytes = Vec::new();
    npyz::WriteOptions::new_header_only()
        .dtype(NpyType::Plain(dtype))
        .shape(tensor.dims())
        .writer(&mut bytes)
        .write_header_only()
        .map_err(io)?;
    bytes.write_all(tensor.data()).map_err(io)?;
    deepring::files::replace_file(path, &bytes).map_err(io)
}

/// Magic, version, length and text of the header.
fn header_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let no_header = || invalid("not a NumPy file");
    let mut bytes = Vec::new();
    reader.by_ref().take(10).read_to_end(&mut bytes)?;
    match bytes.len() {
        0 => return Err(invalid("the file is empty, and no NumPy file")),
        1..10 => return Err(no_header()),
        _ => {}
    }
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(no_header());
    }
    let mut len = u64::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    if bytes[6] > 1 {
        let mut high = [0; 2];
        reader.read_exact(&mut high)?;
        bytes.extend(high);
        len |= u64::from(u16::from_le_bytes(high)) << 16;
    }
    if len > MAX_HEADER {
        return Err(no_header());
    }
    let start = bytes.len() as u64;
    reader.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != start + len {
        return Err(invalid("the file ends within NumPy's header"));
    }
    Ok(bytes)
}

/// Returns whether the header holds more than one dictionary with one shape in it. Only records need that, and
/// npyz' parser takes time exponential in the depth of brackets.
fn is_nested(header: &[u8]) -> bool {
    let count = |bracket: u8| header.iter().filter(|b| **b == bracket).count();
    count(b'[') > 0 || count(b'{') > 1 || count(b'(') > 1
}

/// Returns whether the product of all the header's numbers overflows: npyz multiplies the shape's unchecked. The few
/// others are small, and no file is so long that they could matter.
fn count_overflows(header: &[u8]) -> bool {
    let numbers = header.split(|b| !b.is_ascii_digit()).filter(|n| !n.is_empty());
    let number = |n: &[u8]| std::str::from_utf8(n).ok()?.parse::<u64>().ok();
    // A zero would hide an overflow that came before it.
    numbers.map(number).try_fold(1u64, |product, n| product.checked_mul(n?.max(1))).is_none()
}

fn element_type(dtype: &NpyType) -> Option<DType> {
    let NpyType::Plain(t) = dtype else { return None };
    Some(match t.to_string().as_str() {
        "|b1" => DType::Bool,
        "|u1" => DType::U8,
        "|i1" => DType::I8,
        "<u2" => DType::U16,
        "<i2" => DType::I16,
        "<u4" => DType::U32,
        "<i4" => DType::I32,
        "<u8" => DType::U64,
        "<i8" => DType::I64,
        "<f2" => DType::F16,
        "<f4" => DType::F32,
        "<f8" => DType::F64,
        "<V2" | "|V2" => DType::Bf16,
        _ => return None,
    })
}

/// Column-major bytes in row-major order. The lengths were compared before.
fn row_major(data: &[u8], shape: &[u64], size: usize) -> Vec<u8> {
    let dims: Vec<usize> = shape.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
    let count: usize = dims.iter().product();
    let mut out = Vec::with_capacity(data.len());
    for row_index in 0..count {
        let (mut rest, mut at, mut stride) = (row_index, 0, 1);
        // The last dimension runs fastest in row-major order, the first in column-major order.
        let mut place = vec![0; dims.len()];
        for (p, d) in place.iter_mut().zip(&dims).rev() {
            *p = rest % d;
            rest /= d;
        }
        for (p, d) in place.iter().zip(&dims) {
            at += p * stride;
            stride *= d;
        }
        out.extend_from_slice(data.get(at * size..(at + 1) * size).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        for dtype in [DType::F32, DType::I64, DType::Bool, DType::U8, DType::F16] {
            let data = vec![1; 6 * dtype.size()];
            let tensor = TensorValue::new("x", dtype, vec![2, 3], data).unwrap();
            write_npy(&path, &tensor).unwrap();
            assert_eq!(read_npy(&path, "x").unwrap(), tensor);
        }
    }

    #[test]
    fn a_file_shorter_than_its_header_says_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let tensor = TensorValue::new("x", DType::F32, vec![4], vec![0; 16]).unwrap();
        write_npy(&path, &tensor).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.pop();
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read_npy(&path, "x"), Err(NpyError::Length { found: 15, .. })));
    }

    #[test]
    fn brackets_in_brackets_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        for deep in ["[".repeat(3000), "(".repeat(3000), "{".repeat(3000)] {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend(u16::try_from(deep.len()).unwrap().to_le_bytes());
            bytes.extend(deep.as_bytes());
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(read_npy(&path, "x"), Err(NpyError::DType { .. })));
        }
    }

    #[test]
    fn fortran_order_is_turned_into_row_major() {
        // 2 x 3, column-major: columns (1,4), (2,5), (3,6).
        assert_eq!(row_major(&[1, 4, 2, 5, 3, 6], &[2, 3], 1), [1, 2, 3, 4, 5, 6]);
    }
}
