//! The kernel's own type information (BTF, `/sys/kernel/btf/vmlinux`): where the members stand that
//! the trace programs read, and what the reasons for which the kernel drops a packet are called.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use btfparse::{Integer32Value, Offset, Readable, TypeInformation, TypeVariant};
use proxy_abi::trace::Layout;

/// Where the kernel shows it.
const FILE: &str = "/sys/kernel/btf/vmlinux";
/// What the names of all reasons begin with.
const PREFIXES: [&str; 2] = ["SKB_DROP_REASON_", "SKB_"];

/// What is read of it.
#[derive(Debug, Default)]
pub struct Kernel {
    /// Where the members stand.
    pub layout: Layout,
    /// Reasons by their numbers, without the prefix that all have: `NO_SOCKET`.
    pub reasons: BTreeMap<u32, String>,
}

impl Kernel {
    /// The number of a reason; one that no packet has where this kernel does not know it.
    #[must_use]
    pub fn number(&self, name: &str) -> u32 {
        let found = self.reasons.iter().find(|(_, known)| *known == name);
        found.map_or(u32::MAX, |(number, _)| *number)
    }
}

/// The kernel does not tell enough.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the kernel's type information ({FILE}) is of no use: {0}")]
pub struct TypesError(String);

/// What this kernel says; it is read once, which takes most of a second.
///
/// # Errors
/// [`TypesError`].
pub fn kernel() -> Result<&'static Kernel, TypesError> {
    static READ: OnceLock<Result<Kernel, TypesError>> = OnceLock::new();
    READ.get_or_init(read).as_ref().map_err(Clone::clone)
}

struct Bytes(Vec<u8>);

impl Readable for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = begin
            .checked_add(buffer.len())
            .and_then(|end| self.0.get(begin..end));
        let part = part.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(part);
        Ok(())
    }
}

fn read() -> Result<Kernel, TypesError> {
    let bytes = fs::read(FILE).map_err(|error| TypesError(error.to_string()))?;
    let types = TypeInformation::new(&Bytes(bytes));
    let types = types.map_err(|error| TypesError(format!("{error:?}")))?;
    let at = |structure: &str, member: &str| {
        offset(&types, structure, member)
            .ok_or_else(|| TypesError(format!("there is no {structure}.{member}")))
    };
    let layout = Layout {
        head: at("sk_buff", "head")?,
        data: at("sk_buff", "data")?,
        len: at("sk_buff", "len")?,
        network_header: at("sk_buff", "network_header")?,
        dev: at("sk_buff", "dev")?,
        name: at("net_device", "name")?,
        net: at("net_device", "nd_net.net")?,
        inum: at("net", "ns.inum")?,
    };
    let reasons = reasons(&types);
    Ok(Kernel { layout, reasons })
}

/// Bytes from the beginning of a structure. (The name of a structure may be another thing's, too.)
fn offset(types: &TypeInformation, structure: &str, member: &str) -> Option<u16> {
    let is_it = |variant: &TypeVariant| match variant {
        TypeVariant::Struct(found) => found.name().as_deref() == Some(structure),
        _ => false,
    };
    let (id, _) = types.get().iter().find(|(_, variant)| is_it(variant))?;
    match types.offset_of(*id, member).ok()?.1 {
        Offset::ByteOffset(bytes) => u16::try_from(bytes).ok(),
        _ => None,
    }
}

fn reasons(types: &TypeInformation) -> BTreeMap<u32, String> {
    let found = types.get().values().find_map(|variant| match variant {
        TypeVariant::Enum(found) if found.name().as_deref() == Some("skb_drop_reason") => {
            Some(found.named_value_list())
        }
        _ => None,
    });
    let reason = |value: &btfparse::NamedValue32| {
        let short = PREFIXES
            .iter()
            .find_map(|prefix| value.name.strip_prefix(prefix));
        let name = short.unwrap_or(&value.name).to_owned();
        let number = match value.value {
            Integer32Value::Signed(number) => number.cast_unsigned(),
            Integer32Value::Unsigned(number) => number,
        };
        (number, name)
    };
    found.into_iter().flatten().map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds in every kernel that flatnet runs on, whatever its configuration.
    #[test]
    fn this_kernels_types_are_understood() {
        if fs::metadata(FILE).is_err() {
            // Not where the test runs as an ordinary build: the kernel tests need it and say so.
            eprintln!("skipped: no {FILE}");
            assert!(std::env::var_os("CI").is_none(), "CI has {FILE}");
            return;
        }
        let kernel = kernel().expect("readable");
        let Layout { head, data, .. } = kernel.layout;
        assert_eq!(data, head + 8, "struct sk_buff has data behind head");
        assert!(kernel.layout.name > 0 && kernel.layout.net > 0);
        let named = |name: &str| kernel.reasons.values().any(|one| one == name);
        assert!(named("NO_SOCKET") && named("NOT_SPECIFIED"));
    }
}
