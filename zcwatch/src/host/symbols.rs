//! Names of kernel functions by the addresses in them, from /proc/kallsyms.

/// The kernel's functions: read when they are first asked for, and again when modules came or went.
#[derive(Debug, Default)]
pub struct Symbols(Table);

/// The functions at one time.
#[derive(Debug, Default)]
struct Table {
    /// Start of a function, and where its name is; sorted.
    starts: Vec<(u64, u32, u32)>,
    names: String,
    /// /proc/modules when it was read.
    modules: Option<String>,
}

/// Have callers of this function a part of it inlined, and call the rest by another name? Then what
/// is attached to it sees none of their calls.
#[must_use]
pub fn is_split(function: &str) -> bool {
    let part = format!("{function}.part.");
    let all = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    all.split_whitespace().any(|word| word.starts_with(&part))
}

impl Symbols {
    /// The kernel's functions as of now. A hundred thousand lines take a moment, in which nobody should
    /// wait for events.
    #[must_use]
    pub fn read() -> Self {
        Self(Table::read(modules()))
    }

    /// The functions that these addresses are in, as the kernel calls them; where that is not known
    /// (kernel.kptr_restrict hides it), the list ends.
    pub fn names(&mut self, addresses: &[u64]) -> Vec<String> {
        let modules = modules();
        if self.0.modules.as_ref() != Some(&modules) {
            self.0 = Table::read(modules);
        }
        addresses.iter().map_while(|a| self.0.name(*a).map(str::to_owned)).collect()
    }
}

fn modules() -> String {
    std::fs::read_to_string("/proc/modules").unwrap_or_default()
}

impl Table {
    fn read(modules: String) -> Self {
        let mut table = Self::parse(&std::fs::read_to_string("/proc/kallsyms").unwrap_or_default());
        table.modules = Some(modules);
        table
    }

    /// The table in the form of /proc/kallsyms: address, kind, name.
    fn parse(text: &str) -> Self {
        let mut this = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(at), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(at) = u64::from_str_radix(at, 16) else { continue };
            // Hidden addresses are all 0.
            if at == 0 || !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let Ok(start) = u32::try_from(this.names.len()) else { break };
            this.names.push_str(plain(name));
            let Ok(end) = u32::try_from(this.names.len()) else { break };
            this.starts.push((at, start, end));
        }
        this.starts.sort_unstable();
        this
    }

    fn name(&self, address: u64) -> Option<&str> {
        // A call may be the last instruction of a function: what is returned to is behind it.
        let inside = address.checked_sub(1)?;
        let after = self.starts.partition_point(|(start, ..)| *start <= inside);
        let (_, start, end) = self.starts.get(after.checked_sub(1)?)?;
        self.names.get(*start as usize..*end as usize)
    }
}

/// A function's name without what the compiler adds when it makes more than one of it.
fn plain(name: &str) -> &str {
    let marks = [".isra.", ".constprop.", ".part.", ".cold", ".llvm."];
    let end = marks.iter().filter_map(|mark| name.find(mark)).min();
    &name[..end.unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "ffffffff81000000 T _text\n\
                         ffffffff81000100 t deliver_skb\n\
                         ffffffff81000180 d some_data\n\
                         ffffffff81000200 t __netif_receive_skb_core.constprop.0\n\
                         ffffffff81000300 t skb_copy_ubufs.cold\n\
                         ffffffffc0000000 t tun_net_xmit\t[tun]\n";

    #[test]
    fn an_address_is_in_the_function_that_starts_below_it() {
        let table = Table::parse(TABLE);
        let name = |at| table.name(at);
        assert_eq!(name(0xffff_ffff_8100_0110), Some("deliver_skb"));
        assert_eq!(name(0xffff_ffff_8100_01f0), Some("deliver_skb"));
        assert_eq!(name(0xffff_ffff_8100_0250), Some("__netif_receive_skb_core"));
        assert_eq!(name(0xffff_ffff_8100_0301), Some("skb_copy_ubufs"));
        // Behind the last instruction of one function is the first of the next one.
        assert_eq!(name(0xffff_ffff_8100_0300), Some("__netif_receive_skb_core"));
        assert_eq!(name(0xffff_ffff_c000_0010), Some("tun_net_xmit"));
        assert_eq!(name(0x1000), None);
        assert_eq!(name(0), None);
    }

    #[test]
    fn hidden_addresses_name_nothing() {
        let table = Table::parse("0000000000000000 T _text\n0000000000000000 t deliver_skb\n");
        assert_eq!(table.name(0xffff_ffff_8100_0110), None);
    }
}
