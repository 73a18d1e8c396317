//! What a node is called that nobody gave a name.

use std::fs;
use std::sync::Arc;

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// The host's name, as the kernel or the environment has it.
pub(in crate::app) fn host_name() -> Arc<str> {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let names = [kernel, std::env::var("HOSTNAME").ok()];
    names.into_iter().flatten().find_map(|name| plain(&name)).unwrap_or_else(|| "gateway".into())
}

fn plain(name: &str) -> Option<Arc<str>> {
    let name = name.trim();
    let fine = !name.is_empty() && name.len() <= LONGEST && !name.contains(char::is_control);
    fine.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable_or_another_is_taken() {
        assert_eq!(plain("gw-1.example\n").as_deref(), Some("gw-1.example"));
        for odd in ["", " \n", "a\u{7}b", &"x".repeat(129)] {
            assert_eq!(plain(odd), None, "{odd:?}");
        }
        assert!(plain(&host_name()).is_some());
    }
}
