//! The outline of headers that the sealer would not make, as `docs/FORMAT.md` says; shares no code with the crate.

use crate::forge::{RawRing, derive, sign};

/// The fields that the outline takes from a header.
#[derive(Debug)]
struct Told<'a> {
    name: &'a [u8],
    content: &'a [u8],
    /// Lists of tensor specs, with their counts.
    inputs: &'a [u8],
    outputs: &'a [u8],
    /// One code for each part: of manifest, graph, parameter.
    parts: Vec<u8>,
    hosts: Vec<&'a [u8]>,
    deal: &'a [u8],
}

/// Bytes that are not read yet.
struct Remaining<'a>(&'a [u8]);

impl<'a> Remaining<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().unwrap()) as usize)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let n = u16::from_le_bytes(self.take(2)?.try_into().unwrap());
        self.take(usize::from(n))
    }

    fn spec(&mut self) -> Option<()> {
        self.string()?;
        self.u8()?;
        let rank = self.u8()?;
        for _ in 0..if rank == 0xff { 0 } else { rank } {
            match self.u8()? {
                0 => _ = self.take(8)?,
                _ => _ = self.string()?,
            }
        }
        Some(())
    }

    fn specs(&mut self) -> Option<&'a [u8]> {
        let all = self.0;
        for _ in 0..self.u32()? {
            self.spec()?;
        }
        all.get(..all.len() - self.0.len())
    }
}

fn told(header: &[u8]) -> Option<Told<'_>> {
    let mut rest = Remaining(header);
    rest.take(32)?;
    let name = rest.string()?;
    rest.take(8 + 32)?;
    let content = rest.take(32)?;
    rest.take(3 * 32)?;
    let (inputs, outputs) = (rest.specs()?, rest.specs()?);
    let mut parts = Vec::new();
    for _ in 0..rest.u32()? {
        let kind = rest.u8()?;
        if kind >= 2 {
            rest.spec()?;
        }
        rest.take(if kind == 4 { 20 } else { 16 })?;
        parts.push(kind.min(2));
    }
    let mut hosts = Vec::new();
    for _ in 0..rest.u32()? {
        let (role, key) = (rest.u8()?, rest.take(64)?);
        rest.take(80)?;
        hosts.extend((role == 1).then_some(key));
    }
    let n = rest.u32()?;
    let deal = rest.take(n)?;
    Some(Told { name, content, inputs, outputs, parts, hosts, deal })
}

/// Where a header's recipients stand, with their count; behind them is the deal.
pub(crate) fn recipients_of(header: &[u8]) -> std::ops::Range<usize> {
    let mut rest = Remaining(header);
    let mut walk = || {
        rest.take(32)?;
        rest.string()?;
        rest.take(8 + 5 * 32)?;
        rest.specs()?;
        rest.specs()?;
        for _ in 0..rest.u32()? {
            let kind = rest.u8()?;
            if kind >= 2 {
                rest.spec()?;
            }
            rest.take(if kind == 4 { 20 } else { 16 })?;
        }
        let at = header.len() - rest.0.len();
        let n = rest.u32()?;
        rest.take(145 * n)?;
        Some(at..header.len() - rest.0.len())
    };
    walk().unwrap()
}

fn count(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap().to_le_bytes()
}

/// The outline without its signature, of a statement with its count filled in; `None` where a header is none.
pub(crate) fn unsigned_outline(raw: &RawRing, statement: &[u8]) -> Option<Vec<u8>> {
    let all: Vec<Told<'_>> = raw.headers.iter().map(|h| told(h)).collect::<Option<_>>()?;
    let genesis = all.first()?;
    // Ring id, version; then count, kind, previous, owner, sealed at.
    let digest = derive("deepring v1 ring digest", statement);
    let mut out = b"DOUTLINE\x01\0".to_vec();
    out.extend(&statement[28..30]);
    out.extend(&statement[..24]);
    out.extend(digest);
    out.extend(&statement[30..134]);
    out.extend(raw.revision.to_le_bytes());
    // Genesis passes the network's inputs on.
    out.extend(genesis.outputs);
    out.extend(genesis.inputs);
    let mut hosts: Vec<&[u8]> = Vec::new();
    for host in all.iter().flat_map(|t| &t.hosts) {
        if !hosts.contains(host) {
            hosts.push(host);
        }
    }
    out.extend(count(hosts.len()));
    out.extend(hosts.concat());
    out.extend(count(all.len()));
    for told in &all {
        out.extend(u16::try_from(told.name.len()).unwrap().to_le_bytes());
        out.extend(told.name);
        out.extend(told.content);
        out.extend(count(told.hosts.len()));
        for host in &told.hosts {
            let place = hosts.iter().position(|h| h == host).unwrap();
            out.extend(u16::try_from(place).unwrap().to_le_bytes());
        }
        out.extend(count(told.parts.len()));
        out.extend(&told.parts);
    }
    out.extend(count(genesis.deal.len()));
    out.extend(genesis.deal);
    Some(out)
}

/// The outline's signature; zero where a header is none, and nobody looks at it.
pub(crate) fn sign_outline(raw: &RawRing, statement: &[u8], seed: &[u8; 32]) -> [u8; 64] {
    let Some(outline) = unsigned_outline(raw, statement) else { return [0; 64] };
    sign(seed, "deepring v1 sign outline", &derive("deepring v1 outline digest", &outline))
}
