//! A made file whose bytes tell where they come from: no digest in it is one.

use super::*;

/// A file of these blocks, header and body of each; `fill` begins the bytes, each of which counts up.
fn made(fill: u8, blocks: &[(usize, usize)]) -> RingFile {
    RingFile::parse(bytes(fill, blocks)).unwrap()
}

fn bytes(fill: u8, blocks: &[(usize, usize)]) -> Vec<u8> {
    let mut count = fill;
    let mut next = |len: usize| -> Vec<u8> {
        let out = (0..len).map(|i| count.wrapping_add(i as u8)).collect();
        count = count.wrapping_add(31);
        out
    };
    let mut out = next(12);
    out.extend((blocks.len() as u32).to_le_bytes());
    out.extend([0; 8]);
    out.extend(next(STATEMENT_HEAD + 32 * blocks.len() + 4));
    for (header, body) in blocks {
        out.extend((*header as u32).to_le_bytes());
        out.extend((*body as u64).to_le_bytes());
        out.extend(next(32));
    }
    out.extend(next(SIGNATURES_LEN));
    out.extend(blocks.iter().flat_map(|(header, _)| next(*header)));
    out.extend(blocks.iter().flat_map(|(_, body)| next(*body)));
    let len = out.len() as u64;
    out[16..24].copy_from_slice(&len.to_le_bytes());
    out
}

const SIZES: [(usize, usize); 3] = [(5, 9), (3, 0), (7, 4)];

/// Where the places are in which two files differ.
fn differing(a: &[u8], b: &[u8]) -> Vec<usize> {
    assert_eq!(a.len(), b.len());
    (0..a.len()).filter(|i| a[*i] != b[*i]).collect()
}

#[test]
fn headers_come_before_bodies_and_fill_the_file() {
    let file = made(1, &SIZES);
    let front = PREAMBLE_LEN + STATEMENT_HEAD + 3 * 32 + 4 + 3 * ROW_LEN + SIGNATURES_LEN;
    assert_eq!((file.count(), file.front().len()), (3, front));
    let headers = [0, 1, 2].map(|i| file.header_range(i).unwrap());
    assert_eq!(headers, [front..front + 5, front + 5..front + 8, front + 8..front + 15]);
    let bodies = [0, 1, 2].map(|i| file.body_range(i).unwrap());
    assert_eq!(bodies, [front + 15..front + 24, front + 24..front + 24, front + 24..front + 28]);
    for i in 0..3 {
        assert_eq!(file.header(i).unwrap(), &file.bytes()[headers[i as usize].clone()]);
        assert_eq!(file.body(i).unwrap(), &file.bytes()[bodies[i as usize].clone()]);
    }
    for beyond in [3, u32::MAX] {
        let no_block =
            |e: RingFileError| matches!(e, RingFileError::NoBlock { block } if block == beyond);
        assert!(no_block(file.header(beyond).unwrap_err()));
        assert!(no_block(file.body_range(beyond).unwrap_err()));
    }
}

#[test]
fn lengths_that_are_not_those_of_the_file_are_refused() {
    let whole = bytes(1, &SIZES);
    for len in 0..whole.len() {
        assert!(RingFile::parse(whole[..len].to_vec()).is_err(), "{len}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(matches!(RingFile::parse(longer), Err(RingFileError::Lengths)));
    let rows = closure_places(3).1;
    for (at, len) in [(rows, 4), (rows + 4, 8), (rows + 2 * ROW_LEN + 4, 8)] {
        let mut vast = whole.clone();
        vast[at..at + len].fill(0xff);
        assert!(matches!(RingFile::parse(vast), Err(RingFileError::Lengths)), "{at}");
    }
    // A network has Genesis and a block, and not more blocks than the format allows.
    for count in [0u32, 1, MAX_BLOCKS as u32 + 1] {
        let mut other = whole.clone();
        other[12..16].copy_from_slice(&count.to_le_bytes());
        assert!(matches!(RingFile::parse(other), Err(RingFileError::Lengths)), "{count}");
    }
}

#[test]
fn a_block_that_is_put_over_another_stays_within_its_room() {
    let (ours, theirs) = (made(1, &SIZES), made(100, &[(2, 3), (6, 2), (9, 9)]));
    let mut file = ours.clone();
    file.overwrite(0, &theirs).unwrap();
    // The shorter header and body are filled with zeros.
    assert_eq!(file.header(0).unwrap(), [theirs.header(0).unwrap(), &[0; 3]].concat());
    assert_eq!(file.body(0).unwrap(), [theirs.body(0).unwrap(), &[0; 6]].concat());
    let mut file = ours.clone();
    file.overwrite(2, &theirs).unwrap();
    // The longer ones are cut.
    assert_eq!(file.header(2).unwrap(), &theirs.header(2).unwrap()[..7]);
    assert_eq!(file.body(2).unwrap(), &theirs.body(2).unwrap()[..4]);
    let (header, body) = (ours.header_range(2).unwrap(), ours.body_range(2).unwrap());
    let changed = differing(ours.bytes(), file.bytes());
    assert!(changed.iter().all(|at| header.contains(at) || body.contains(at)));
    assert!(!changed.is_empty());
    assert!(matches!(file.overwrite(3, &theirs), Err(RingFileError::NoBlock { block: 3 })));
}

#[test]
fn transplanted_blocks_bring_their_rows_and_the_rest_stays() {
    let (ours, theirs) = (made(1, &SIZES), made(100, &[(2, 3), (6, 2), (9, 9)]));
    let file = ours.transplant(&[1, 2], &theirs).unwrap();
    for (block, from) in [(0, &ours), (1, &theirs), (2, &theirs)] {
        assert_eq!(file.header(block).unwrap(), from.header(block).unwrap());
        assert_eq!(file.body(block).unwrap(), from.body(block).unwrap());
        let (bodies, rows) = closure_places(3);
        let i = block as usize;
        for (at, len) in [(bodies + 32 * i, 32), (rows + ROW_LEN * i, ROW_LEN)] {
            assert_eq!(file.bytes()[at..at + len], from.bytes()[at..at + len], "{block}");
        }
    }
    let told = u64::from_le_bytes(file.bytes()[16..24].try_into().unwrap());
    assert_eq!(told, file.bytes().len() as u64);
    // Identity and signatures are this ring's.
    let end = file.front().len();
    assert_eq!(file.bytes()[..16], ours.bytes()[..16]);
    assert_eq!(file.bytes()[24..24 + STATEMENT_HEAD], ours.bytes()[24..24 + STATEMENT_HEAD]);
    assert_eq!(file.front()[end - SIGNATURES_LEN..], ours.front()[end - SIGNATURES_LEN..]);
    assert_eq!(ours.transplant(&[], &theirs).unwrap(), ours);
    // A ring of fewer blocks has its rows elsewhere, and has not every block that is wanted.
    let few = made(100, &[(2, 3), (6, 2)]);
    let file = ours.transplant(&[1], &few).unwrap();
    assert_eq!(file.body(1).unwrap(), few.body(1).unwrap());
    let row =
        |count: usize| closure_places(count).1 + ROW_LEN..closure_places(count).1 + 2 * ROW_LEN;
    assert_eq!(file.bytes()[row(3)], few.bytes()[row(2)]);
    assert!(matches!(ours.transplant(&[2], &few), Err(RingFileError::NoBlock { block: 2 })));
}

#[test]
fn another_rings_name_comes_with_its_signatures_and_without_its_count() {
    let (ours, theirs) = (made(1, &SIZES), made(100, &[(2, 3), (6, 2)]));
    let file = ours.in_the_name_of(&theirs).unwrap();
    let (ours_end, theirs_end) = (ours.front().len(), theirs.front().len());
    let signatures = |f: &RingFile, end: usize| f.bytes()[end - SIGNATURES_LEN..end].to_vec();
    assert_eq!(signatures(&file, ours_end), signatures(&theirs, theirs_end));
    // Ring id and version, then predecessor and owner; the count of blocks between them stays.
    let head = PREAMBLE_LEN;
    assert_eq!(file.bytes()[head..head + 24], theirs.bytes()[head..head + 24]);
    assert_eq!(file.bytes()[head + 24..head + 28], ours.bytes()[head + 24..head + 28]);
    let rest = head + 28..head + STATEMENT_HEAD;
    assert_eq!(file.bytes()[rest.clone()], theirs.bytes()[rest]);
    let (from, to) = (head + STATEMENT_HEAD, ours_end - SIGNATURES_LEN);
    assert_eq!(file.bytes()[from..to], ours.bytes()[from..to]);
    assert_eq!(file.bytes()[ours_end..], ours.bytes()[ours_end..]);
}

#[test]
fn blocks_are_put_behind_another_closure_as_they_are() {
    let (ours, theirs) = (made(1, &SIZES), made(100, &[(2, 3), (6, 2)]));
    let made = ours.behind(&theirs);
    assert_eq!(made[..theirs.front().len()], *theirs.front());
    assert_eq!(made[theirs.front().len()..], ours.bytes()[ours.front().len()..]);
    assert_eq!(ours.behind(&ours), ours.bytes());
}

#[test]
fn a_bit_is_flipped_where_there_is_one() {
    let (clean, mut file) = (made(1, &SIZES), made(1, &SIZES));
    let last = clean.bytes().len() as u64 - 1;
    assert!(file.flip(last, 0x81));
    assert_eq!(file.bytes()[last as usize], clean.bytes()[last as usize] ^ 0x81);
    assert!(file.flip(last, 0x81) && file == clean);
    assert!(!file.flip(last + 1, 1) && !file.flip(u64::MAX, 1) && file == clean);
}
