//! Packet sockets that take every packet (ETH_P_ALL): tcpdump, an agent, a DHCP client. Each
//! makes the kernel copy what a device sends, whatever its filter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::{Deserialize, Serialize};

/// One packet socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sniffer {
    /// Inode number of the network namespace it listens in.
    pub netns: u32,
    /// The device it is bound to; 0: all of them.
    pub ifindex: u32,
    /// Inode number of the socket.
    pub inode: u64,
    /// A process that holds it; `None`: not visible to us, or nobody's descriptor.
    pub pid: Option<u32>,
    /// That process's name.
    pub comm: Option<String>,
}

/// `ETH_P_ALL`, as /proc/net/packet prints it.
const EVERY_PROTOCOL: &str = "0003";

/// Inode number of the network namespace of a process.
#[must_use]
pub fn netns_of(pid: u32) -> Option<u32> {
    netns_at(&format!("/proc/{pid}"))
}

fn netns_at(dir: &str) -> Option<u32> {
    let link = fs::read_link(format!("{dir}/ns/net")).ok()?;
    let text = link.to_str()?;
    text.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// What was seen at the last look, and how each namespace was entered.
#[derive(Debug, Default)]
pub struct Lookout {
    /// The sniffers.
    pub list: Vec<Sniffer>,
    /// Namespaces that could not be read, because no process in them is visible.
    pub unreadable: Vec<u32>,
    /// A folder below /proc of a process or thread inside.
    ways: BTreeMap<u32, String>,
    /// Namespaces whose last visible process has ended: what was seen there stands.
    left: BTreeSet<u32>,
}

impl Lookout {
    /// Looks at the packet sockets of these namespaces. `hints` are processes whose threads are
    /// looked at first. Only a `search` goes through all processes for a namespace that none of
    /// them is in; without, what was seen there before stands. Returns whether anything changed.
    pub fn look(&mut self, wanted: &BTreeSet<u32>, hints: &[u32], search: bool) -> bool {
        let mut found = Vec::new();
        let mut left = wanted.clone();
        // A watched process is nearly always in the namespace of its sockets, and if not all of
        // it, then one of its threads.
        let threads = hints.iter().flat_map(|pid| {
            let task = format!("/proc/{pid}/task");
            numbers(&task).map(move |tid| format!("{task}/{tid}"))
        });
        let known: Vec<String> = self.ways.values().cloned().collect();
        self.read(known.into_iter().chain(threads), &mut left, &mut found);
        self.left.retain(|n| left.contains(n));
        left.retain(|n| !self.left.contains(n));
        if search {
            let all = numbers("/proc").map(|pid| format!("/proc/{pid}"));
            self.read(all, &mut left, &mut found);
            self.left.extend(left.extract_if(.., |n| self.ways.contains_key(n)));
        } else {
            found.extend(self.list.iter().filter(|s| left.contains(&s.netns)).cloned());
            left.retain(|n| self.unreadable.contains(n));
        }
        found.extend(self.list.iter().filter(|s| self.left.contains(&s.netns)).cloned());
        let is_known = |s: &&Sniffer, k: &&Sniffer| (k.netns, k.inode) == (s.netns, s.inode);
        let mut new = false;
        for s in &mut found {
            match self.list.iter().find(|k| is_known(&&*s, k)) {
                // Looking through the descriptors of a large host costs tenths of a second.
                Some(old) => {
                    s.pid = old.pid;
                    s.comm.clone_from(&old.comm);
                }
                None => new = true,
            }
        }
        if new {
            name_holders(&mut found);
        }
        found.sort();
        let seen = (found, left.into_iter().collect::<Vec<_>>());
        let changed = (&self.list, &self.unreadable) != (&seen.0, &seen.1);
        (self.list, self.unreadable) = seen;
        changed
    }

    /// Reads the namespaces in `left` by these folders, until none is left.
    fn read(
        &mut self,
        dirs: impl Iterator<Item = String>,
        left: &mut BTreeSet<u32>,
        found: &mut Vec<Sniffer>,
    ) {
        for dir in dirs {
            if left.is_empty() {
                break;
            }
            let Some(netns) = netns_at(&dir).filter(|n| left.contains(n)) else { continue };
            if let Ok(text) = fs::read_to_string(format!("{dir}/net/packet")) {
                left.remove(&netns);
                found.extend(parse(&text, netns));
                self.ways.insert(netns, dir);
            }
        }
    }
}

/// Rows of /proc/net/packet (`packet_seq_show`, net/packet/af_packet.c, all versions):
/// `sk RefCnt Type Proto Iface R Rmem User Inode`.
fn parse(text: &str, netns: u32) -> Vec<Sniffer> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut at = line.split_whitespace().skip(3);
            let protocol = at.next()?;
            let ifindex = at.next()?.parse().ok()?;
            let running = at.next()? == "1";
            let inode = at.nth(2)?.parse().ok()?;
            (protocol == EVERY_PROTOCOL && running).then_some(Sniffer {
                netns,
                ifindex,
                inode,
                pid: None,
                comm: None,
            })
        })
        .collect()
}

/// Looks through the descriptors of all processes, in any namespace, for those inodes.
fn name_holders(found: &mut [Sniffer]) {
    let mut by_inode: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, s) in found.iter().enumerate().filter(|(_, s)| s.pid.is_none()) {
        by_inode.entry(s.inode).or_default().push(i);
    }
    for pid in numbers("/proc") {
        if by_inode.is_empty() {
            return;
        }
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            let Some(inode) = socket_inode(&entry.path()) else { continue };
            for i in by_inode.remove(&inode).unwrap_or_default() {
                found[i].pid = Some(pid);
                found[i].comm = super::process::comm(pid);
            }
        }
    }
}

fn socket_inode(fd: &Path) -> Option<u64> {
    let link = fs::read_link(fd).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Entries of a folder that are numbers: processes, or threads.
pub(super) fn numbers(dir: &str) -> impl Iterator<Item = u32> + use<> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_sockets_on_every_protocol_count() {
        let text = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
                    ffff888101f5f000 3      3    0003   7     1 0      0      4711\n\
                    ffff888101f5f800 3      3    0800   7     1 0      0      4712\n\
                    ffff888101f5fc00 3      3    0003   0     0 0      0      4713\n";
        let expected = Sniffer { netns: 9, ifindex: 7, inode: 4711, pid: None, comm: None };
        assert_eq!(parse(text, 9), [expected]);
        assert_eq!(parse("", 9), []);
    }

    #[test]
    fn what_was_seen_in_a_namespace_stands_when_its_last_process_has_ended() {
        let sniffer = |netns| Sniffer { netns, ifindex: 0, inode: 4711, pid: None, comm: None };
        // Numbers that no namespace has: the first was read once, the second never.
        let ways = BTreeMap::from([(1, "/proc/0".to_owned())]);
        let mut all = Lookout { list: vec![sniffer(1)], ways, ..Lookout::default() };
        let wanted = BTreeSet::from([1, 2]);
        for search in [false, true, true, false] {
            all.look(&wanted, &[], search);
            assert_eq!(all.list, [sniffer(1)]);
        }
        assert_eq!(all.unreadable, [2]);
    }
}
