//! Where programs send: the names of their functions, asked for while they live.

use std::collections::BTreeMap;

use aya::maps::{HashMap, MapData};
use blazesym::{
    Pid,
    symbolize::{
        Input, Symbolizer,
        source::{Process, Source},
    },
};
use zcwatch_common as raw;

use crate::event::{CallSite, SocketId};

type Table = HashMap<MapData, raw::CallSite, u64>;

/// What of the kernel's key tells one place from another, whichever socket it sends on.
type Place = (u32, [u64; raw::USER_FRAMES]);

/// See the module.
pub struct CallSites {
    table: Table,
    symbolizer: Symbolizer,
    names: BTreeMap<Place, Vec<String>>,
}

impl CallSites {
    /// Of this table.
    pub fn new(table: Table) -> Self {
        Self { table, symbolizer: Symbolizer::new(), names: BTreeMap::new() }
    }

    /// Names what is new: a process that has ended can name nothing.
    pub fn look(&mut self) {
        let new: Vec<raw::CallSite> = self.table.keys().flatten().collect();
        for site in new {
            let place = (site.tgid, site.frames);
            if !self.names.contains_key(&place) {
                let calls = self.calls(site.tgid, &site.frames);
                self.names.insert(place, calls);
            }
        }
    }

    /// All that was counted.
    pub fn told(&mut self) -> Vec<CallSite> {
        self.look();
        let mut all: BTreeMap<(u64, u32, Vec<String>), u64> = BTreeMap::new();
        for (site, sends) in self.table.iter().flatten() {
            let calls = self.names.get(&(site.tgid, site.frames)).cloned().unwrap_or_default();
            *all.entry((site.cookie, site.tgid, calls)).or_default() += sends;
        }
        let site = |((cookie, pid, calls), sends)| CallSite {
            socket: SocketId(cookie),
            pid,
            sends,
            calls,
        };
        all.into_iter().map(site).collect()
    }

    /// The functions at these addresses of a process, the innermost first; an address stands for one
    /// without a name.
    fn calls(&self, pid: u32, frames: &[u64; raw::USER_FRAMES]) -> Vec<String> {
        let end = frames.iter().position(|f| *f == 0).unwrap_or(frames.len());
        let frames = &frames[..end];
        // What is returned to is behind the call.
        let inside: Vec<u64> =
            frames.iter().enumerate().map(|(i, f)| if i == 0 { *f } else { f - 1 }).collect();
        let source = Source::Process(Process::new(Pid::from(pid)));
        let found = self.symbolizer.symbolize(&source, Input::AbsAddr(&inside));
        let Ok(found) = found else { return Vec::new() };
        let name = |(at, symbol): (&u64, &blazesym::symbolize::Symbolized<'_>)| {
            symbol.as_sym().map_or_else(|| format!("{at:#x}"), |s| s.name.to_string())
        };
        inside.iter().zip(&found).map(name).collect()
    }
}
