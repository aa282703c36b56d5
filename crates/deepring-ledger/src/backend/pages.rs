//! How large the pages of a database are, found out before redb takes memory for them.
//!
//! redb keeps a value in one page, and takes a page's memory, zeroed, before it asks for its bytes.
//! How large a page is says whoever points to it: the header, a branch, a table's definition, a row
//! of several values. So every page that is read is looked through for such pointers first, and one
//! to a page that no ledger has refuses the page that it stands in. The layout is that of redb's
//! file format 3 (its `docs/design.md`). What is not laid out so is left for redb to refuse.
//!
//! redb also keeps some bits for each page that the file's length has room for, and an allocator for
//! each region. So the header must have the regions that redb makes, and the length must be paid for.

use std::collections::HashMap;
use std::io;

/// Most bytes of a page: room for the state of a ledger of some thousand rings, the largest value
/// there is.
pub(crate) const MAX_PAGE: u64 = 16 << 20;

/// Bytes that a file may have whatever of it is on the disk: a transaction makes it longer before it
/// writes. redb takes about a byte for eight thousand of them.
const FREE: u64 = 16 << 30;
/// Bytes that a file may have for each that it takes on the disk. redb doubles a file, and a file system
/// may compress; no memory is taken out of proportion even so.
const TIMES: u64 = 64;

/// The geometry that redb gives a database: small pages of these bytes, none of them a region's header,
/// and as many to a region.
const SMALL_PAGE: u64 = 4096;
const REGION_PAGES: u64 = 1 << 20;

/// Bytes of redb's header, at the file's start.
const HEADER: usize = 320;
const GEOMETRY_AT: usize = 12;
/// Where the header's two commits are, and in each the flags and the places of its two roots.
const SLOTS: [usize; 2] = [64, 192];
const ROOTS: [(usize, usize); 2] = [(1, 8), (2, 40)];

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
const MULTIMAP: u8 = 4;
const SUBTREE: u8 = 3;

/// The trees whose leaves hold pointers.
#[derive(Debug, Clone, Copy)]
enum Tree {
    /// Of names, with the definitions of tables.
    Tables,
    /// Of a table with several values a key, whose keys have this many bytes.
    Multimap { key: Option<usize> },
}

/// Pages that were pointed to, as far as their leaves hold pointers in their turn.
#[derive(Debug, Default)]
pub(super) struct Pages {
    geometry: Option<Geometry>,
    known: HashMap<u64, Tree>,
}

#[derive(Debug, Clone, Copy)]
struct Geometry {
    page: u64,
    region_header: u64,
    region: u64,
}

impl Geometry {
    fn of(header: &[u8]) -> Option<Self> {
        let field = |n: usize| u32_at(header, GEOMETRY_AT + 4 * n).map(u64::from);
        let (page, header_pages, pages) = (field(0)?, field(1)?, field(2)?);
        // Of 32 bits each.
        let region = (header_pages + pages).saturating_mul(page);
        Some(Self { page, region_header: header_pages * page, region })
    }

    /// Refuses what redb never makes: many small regions, for each of which it would have an allocator.
    fn as_made(self) -> io::Result<Self> {
        let Self { page, region_header, region } = self;
        let region_pages = region.checked_div(page).unwrap_or_default();
        if (page, region_header, region_pages) == (SMALL_PAGE, 0, REGION_PAGES) {
            return Ok(self);
        }
        let what = format!(
            "regions of {region_pages} pages of {page} bytes, {region_header} bytes of them for the \
             region's header, and a ledger has {REGION_PAGES} of {SMALL_PAGE}"
        );
        Err(invalid(what))
    }

    /// Where a page lies, if it is none that is too large.
    fn place_of(self, pointer: u64) -> io::Result<u64> {
        // Index within the region, region, and the logarithm of the number of small pages.
        let (order, region) = (pointer >> 59, (pointer >> 20) & 0xf_ffff);
        let len = self.page << order;
        if len > MAX_PAGE {
            let what =
                format!("a page of {len} bytes, and a ledger has none of more than {MAX_PAGE}");
            return Err(invalid(what));
        }
        let index = pointer & (0xf_ffff >> order);
        let in_region = self.region_header.saturating_add(index.saturating_mul(len));
        Ok(self.page.saturating_add(region.saturating_mul(self.region)).saturating_add(in_region))
    }
}

/// Refuses a file that is longer than what it takes on the disk pays for, where that is known.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData) then.
pub(super) fn paid_for(len: u64, on_disk: Option<u64>) -> io::Result<u64> {
    let most = FREE.max(on_disk.unwrap_or_default().saturating_mul(TIMES));
    if len <= most {
        return Ok(len);
    }
    let held = on_disk.map_or_else(|| "an unknown number".to_owned(), |held| held.to_string());
    Err(invalid(format!("a file of {len} bytes, of which {held} are on the disk")))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Pages {
    /// Looks through what was read at this place.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) where it points to a page that is too large, and for a
    /// header of other regions than redb makes.
    pub(super) fn inspect(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        if place == 0 {
            return self.header(bytes);
        }
        let tree = self.known.get(&place).copied();
        match (bytes.first(), tree) {
            (Some(&BRANCH), _) => self.branch(bytes, tree),
            (Some(&LEAF), Some(Tree::Tables)) => {
                values(bytes, None).try_for_each(|definition| self.table(definition))
            }
            (Some(&LEAF), Some(Tree::Multimap { key })) => {
                let subtrees = values(bytes, key).filter(|value| value.first() == Some(&SUBTREE));
                subtrees.filter_map(|v| u64_at(v, 1)).try_for_each(|root| self.point(root, None))
            }
            _ => Ok(()),
        }
    }

    /// Forgets a page, since another is written in its place.
    pub(super) fn forget(&mut self, place: u64) {
        self.known.remove(&place);
    }

    fn header(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(header) = bytes.get(..HEADER) else { return Ok(()) };
        self.geometry = Geometry::of(header).map(Geometry::as_made).transpose()?;
        for slot in SLOTS {
            for (flag, root) in ROOTS {
                if header.get(slot + flag).is_some_and(|there| *there != 0)
                    && let Some(root) = u64_at(header, slot + root)
                {
                    self.point(root, Some(Tree::Tables))?;
                }
            }
        }
        Ok(())
    }

    fn branch(&mut self, bytes: &[u8], tree: Option<Tree>) -> io::Result<()> {
        let Some(keys) = u16_at(bytes, 2) else { return Ok(()) };
        let children = usize::from(keys) + 1;
        // Behind a checksum of each.
        let pointers = (0..children).map_while(|n| u64_at(bytes, 8 + 16 * children + 8 * n));
        pointers.collect::<Vec<_>>().into_iter().try_for_each(|child| self.point(child, tree))
    }

    fn table(&mut self, definition: &[u8]) -> io::Result<()> {
        let (Some(kind), Some(there)) = (definition.first(), definition.get(9)) else {
            return Ok(());
        };
        let tree = (*kind == MULTIMAP).then(|| {
            let fixed = definition.get(42).is_some_and(|fixed| *fixed != 0);
            let key = u32_at(definition, 43).filter(|_| fixed);
            Tree::Multimap { key: key.and_then(|len| usize::try_from(len).ok()) }
        });
        match u64_at(definition, 10) {
            Some(root) if *there != 0 => self.point(root, tree),
            _ => Ok(()),
        }
    }

    fn point(&mut self, pointer: u64, tree: Option<Tree>) -> io::Result<()> {
        let Some(geometry) = self.geometry else { return Ok(()) };
        let place = geometry.place_of(pointer)?;
        match tree {
            Some(tree) => self.known.insert(place, tree),
            None => self.known.remove(&place),
        };
        Ok(())
    }
}

/// The values in a leaf, whose lengths vary; keys have `key` bytes each, or lengths that vary, too.
fn values(leaf: &[u8], key: Option<usize>) -> impl Iterator<Item = &[u8]> {
    let pairs = u16_at(leaf, 2).map_or(0, usize::from);
    let end = move |table: usize, n: usize| {
        let end = u32_at(leaf, 4 + 4 * (table * pairs + n))?;
        usize::try_from(end).ok()
    };
    // Ends of keys, where these vary, then ends of values, then keys, then values.
    let (ends, keys_end) = match key {
        Some(len) => (0, pairs.checked_mul(len).map(|keys| 4 + 4 * pairs + keys)),
        None => (1, pairs.checked_sub(1).and_then(|last| end(0, last))),
    };
    (0..pairs).filter_map(move |n| {
        let start = if n == 0 { keys_end? } else { end(ends, n - 1)? };
        leaf.get(start..end(ends, n)?)
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
