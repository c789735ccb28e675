//! Names of users and groups, from the files of this machine alone.
//!
//! A directory service (LDAP, Active Directory) is not asked: it may be behind this very gateway, and whoever waits for
//! it then waits for nothing. Its groups are given by number.

use std::fs;

/// Name of a local user.
pub(crate) fn user_name(id: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    name_of(&text, id)
}

/// Number of a group that is given by its name here, or by its number.
///
/// # Errors
/// Where this machine has no group of that name.
pub(crate) fn group_id(given: &str) -> Result<u32, String> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let text =
        fs::read_to_string("/etc/group").map_err(|error| format!("cannot read /etc/group: {error}"))?;
    let unknown = "is no group of /etc/group; a group of a directory service is given by its number";
    id_of(&text, given).ok_or_else(|| format!("`{given}` {unknown}"))
}

/// Lines of both files are `name:password:number:...`.
fn fields(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse().ok()?))
    })
}

fn name_of(text: &str, wanted: u32) -> Option<String> {
    fields(text).find(|(_, id)| *id == wanted).map(|(name, _)| name.to_owned())
}

fn id_of(text: &str, wanted: &str) -> Option<u32> {
    fields(text).find(|(name, _)| *name == wanted).map(|(_, id)| id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_left_out() {
        let text = "root:x:0:\n# ops:x:7:\nbroken\nops:x:1005:alice,bob\nbad:x:many:\n";
        assert_eq!(id_of(text, "ops"), Some(1005));
        assert_eq!(id_of(text, "bad"), None);
        assert_eq!(name_of(text, 0).as_deref(), Some("root"));
        assert_eq!(name_of(text, 1), None);
    }
}
