//! Does the table of programs say what the committed object does? The object's relocations name
//! each read-only global that a program reads.

use std::collections::BTreeSet;

use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind,
    SymbolKind,
    elf::FileHeader64,
    read::elf::{ElfFile64, ElfSymbol},
};

use super::{
    layout,
    programs::{Attach, BESIDE, CHOICES, COPIES, Kernels, PROGRAMS, Program},
};

static OBJECT: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../zcwatch-ebpf/obj/zcwatch.bpf.o"));
/// The same for kernels before 5.12.
static EARLY: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../zcwatch-ebpf/obj/early.bpf.o"));

type File = ElfFile64<'static>;

/// A stretch of a section, bytes.
type Code = (SectionIndex, std::ops::Range<u64>);

fn read() -> File {
    File::parse(OBJECT).unwrap()
}

/// The programs of an object, by name, and their sections'.
fn inside(file: &File) -> BTreeSet<(String, String)> {
    let programs = file.symbols().filter(|s| s.kind() == SymbolKind::Text).filter_map(|s| {
        let section = file.section_by_index(s.section_index()?).ok()?.name().ok()?.to_owned();
        Some((s.name().ok()?.to_owned(), section))
    });
    programs.filter(|(_, section)| section != ".text").collect()
}

/// Those of the table, for late kernels or for early ones.
fn listed(early: bool) -> BTreeSet<(String, String)> {
    let copied = |name: &str| COPIES.iter().any(|copy| name.ends_with(copy));
    let there = |p: &&Program| if early { !copied(p.name) } else { p.kernels != Kernels::Early };
    PROGRAMS.iter().filter(there).map(|p| (p.name.to_owned(), p.section())).collect()
}

fn globals(file: &File) -> BTreeSet<&str> {
    let rodata = file.section_by_name(".rodata").unwrap().index();
    let of_rodata = |s: &ElfSymbol<'_, '_, FileHeader64<Endianness>>| {
        s.section_index() == Some(rodata) && s.is_global()
    };
    // The loader overwrites each as a u32.
    assert!(file.symbols().filter(of_rodata).all(|s| s.size() == 4));
    file.symbols().filter(of_rodata).map(|s| s.name().unwrap()).collect()
}

fn rows() -> BTreeSet<&'static str> {
    layout::fields().map(|f| f.global).collect()
}

fn function(file: &File, section: SectionIndex, at: impl Fn(&str, u64) -> bool) -> Option<Code> {
    file.symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.section_index() == Some(section))
        .find(|s| at(s.name().unwrap(), s.address()))
        .map(|s| (section, s.address()..s.address() + s.size()))
}

/// The symbols that a program's code names, its subprograms' too.
fn named(file: &File, program: Code) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut seen = Vec::new();
    let mut left = vec![program];
    while let Some((index, range)) = left.pop() {
        if seen.contains(&(index, range.start)) {
            continue;
        }
        seen.push((index, range.start));
        let section = file.section_by_index(index).unwrap();
        for (at, relocation) in section.relocations().filter(|(at, _)| range.contains(at)) {
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                panic!("a relocation at {at} of {} has no symbol", section.name().unwrap());
            };
            let symbol = file.symbol_by_index(symbol).unwrap();
            let home = symbol.section_index();
            match (symbol.kind(), home) {
                (SymbolKind::Text, Some(to)) => {
                    left.extend(function(file, to, |_, start| start == symbol.address()));
                }
                // A call of a static function: the instruction counts words from the next one.
                (SymbolKind::Section, Some(to)) => {
                    let imm = section.data_range(at + 4, 4).unwrap().unwrap();
                    let words = i32::from_le_bytes(imm.try_into().unwrap());
                    let target = u64::try_from((i64::from(words) + 1) * 8).unwrap();
                    let callee = function(file, to, |_, start| start == target);
                    left.push(callee.expect("a call that leads to no function"));
                }
                _ => {
                    names.insert(symbol.name().unwrap().to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn each_program_reads_the_rows_that_the_table_says_and_no_others() {
    let file = read();
    let rows = rows();
    for program in PROGRAMS.iter().filter(|p| p.kernels != Kernels::Early) {
        let section = file
            .section_by_name(&program.section())
            .unwrap_or_else(|| panic!("the object has no section {}", program.section()));
        let code = function(&file, section.index(), |name, _| name == program.name)
            .unwrap_or_else(|| panic!("{} is not in {}", program.name, program.section()));
        let named = named(&file, code);
        let read: Vec<&str> =
            named.iter().map(String::as_str).filter(|n| rows.contains(n)).collect();
        assert_eq!(program.fields(), read, "{}: the table (left) and the object", program.name);
    }
}

/// A row that only the one object reads is a global of the other one too.
#[test]
fn each_read_only_global_of_an_object_is_a_row_and_each_row_a_global() {
    for object in [OBJECT, EARLY] {
        let file = File::parse(object).unwrap();
        assert_eq!(globals(&file), rows());
    }
}

#[test]
fn the_objects_have_the_programs_of_the_table_and_no_others() {
    assert_eq!(inside(&read()), listed(false));
    assert_eq!(inside(&File::parse(EARLY).unwrap()), listed(true));
}

/// Of atomic operations early kernels know addition only, without its result (`BPF_XADD`).
#[test]
fn early_programs_have_no_late_instruction() {
    let file: File = File::parse(EARLY).unwrap();
    for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
        for (at, word) in section.data().unwrap().chunks(8).enumerate() {
            let atomic = word[0] & 0xe7 == 0xc3;
            let immediate = i32::from_le_bytes(word[4..].try_into().unwrap());
            assert!(!atomic || immediate == 0, "{}: {at}", section.name().unwrap());
        }
    }
}

/// The instructions of a program, without the immediate values: those of calls count from where
/// the call stands.
fn instructions(file: &File, name: &str, section: &str) -> Vec<Vec<u8>> {
    let section = file.section_by_name(section).unwrap();
    let (_, at) = function(file, section.index(), |symbol, _| symbol == name)
        .unwrap_or_else(|| panic!("{name} is not in the object"));
    let bytes = section.data_range(at.start, at.end - at.start).unwrap().unwrap();
    bytes.chunks(8).map(|word| word[..4].to_vec()).collect()
}

#[test]
fn every_program_on_a_function_has_its_copies_which_do_the_same() {
    let file = read();
    let copied = |name: &str| COPIES.iter().any(|copy| name.ends_with(copy));
    let on_functions = PROGRAMS
        .iter()
        .filter(|p| matches!(p.attach, Attach::Entry(_) | Attach::Exit(_)))
        .filter(|p| p.kernels != Kernels::Early && !copied(p.name));
    for program in on_functions {
        // A copy that was missed is explained by its places.
        let two = BESIDE.iter().any(|set| set.programs.contains(&program.name));
        let first = instructions(&file, program.name, &program.section());
        for copy in &COPIES[..if two { 1 } else { 2 }] {
            let name = format!("{}{copy}", program.name);
            let other = PROGRAMS.iter().find(|p| p.name == name).unwrap_or_else(|| {
                panic!("{name} is not in the table");
            });
            assert_eq!(other.attach, program.attach, "{name}");
            assert!(instructions(&file, &name, &other.section()) == first, "{name} is another");
            for set in CHOICES.iter().copied().flatten().chain(BESIDE) {
                let has = |name: &str| set.programs.contains(&name);
                assert_eq!(has(program.name), has(&name), "{name} is not where its first is");
            }
        }
    }
}
