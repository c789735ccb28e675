//! Who may ask for what.

use super::accounts::{group_id, user_name};
use super::peer::Peer;
use super::protocol::Request;

/// What somebody may do. The later ones include the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at what runs.
    Reader,
    /// Change it.
    Operator,
}

impl Role {
    /// Its word in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Reader => "--readers",
            Self::Operator => "--operators",
        }
    }
}

impl Request {
    /// The role that it takes. There is no arm for "everything else": a new request has to say.
    pub fn role(&self) -> Role {
        match self {
            Self::Status | Self::Events { .. } | Self::Grants | Self::Policy => Role::Reader,
            Self::Mode { .. }
            | Self::Apply { .. }
            | Self::Confirm
            | Self::Rollback
            | Self::Grant { .. }
            | Self::Revoke { .. } => Role::Operator,
        }
    }
}

/// Who has which role. Root and the user that the agent runs as have every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    own: u32,
    readers: Vec<Group>,
    operators: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    id: u32,
}

impl Access {
    /// Groups by name or number; an empty name, as of a variable that was left empty, is none.
    ///
    /// # Errors
    /// Where this machine has no such group.
    pub fn new(readers: &[String], operators: &[String]) -> Result<Self, String> {
        let group = |name: &String| Ok(Group { name: name.clone(), id: group_id(name)? });
        let groups = |names: &[String]| {
            names.iter().filter(|name| !name.is_empty()).map(group).collect::<Result<Vec<_>, String>>()
        };
        let own = rustix::process::geteuid().as_raw();
        Ok(Self { own, readers: groups(readers)?, operators: groups(operators)? })
    }

    /// Whether anybody but root and the agent's own user has a role.
    pub fn is_shared(&self) -> bool {
        !(self.readers.is_empty() && self.operators.is_empty())
    }

    /// The highest role of somebody, if any.
    pub fn role_of(&self, peer: &Peer) -> Option<Role> {
        let is_in = |groups: &[Group]| groups.iter().any(|group| peer.groups.contains(&group.id));
        if peer.uid == 0 || peer.uid == self.own || is_in(&self.operators) {
            Some(Role::Operator)
        } else if is_in(&self.readers) {
            Some(Role::Reader)
        } else {
            None
        }
    }

    /// Why somebody may not do something, and what would change that.
    pub fn refusal(&self, peer: &Peer, verb: &str, needed: Role) -> String {
        let who = user_name(peer.uid).map_or_else(String::new, |name| format!(" `{name}`"));
        let groups = match needed {
            Role::Reader => [&self.readers[..], &self.operators[..]].concat(),
            Role::Operator => self.operators.clone(),
        };
        let names: Vec<String> = groups.iter().map(|group| format!("`{}`", group.name)).collect();
        let cure = if names.is_empty() {
            format!("no group has it: start the agent with {} GROUP", needed.option())
        } else {
            format!("members of {} have it (who has just become one has to log in again)", names.join(", "))
        };
        let (uid, role) = (peer.uid, needed.name());
        format!(
            "user{who} (uid {uid}) may not {verb}: that takes the role {role}. Root and the agent's own user have it; \
             {cure}"
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            own: 900,
            readers: vec![Group { name: "soc".to_owned(), id: 10 }],
            operators: vec![Group { name: "ops".to_owned(), id: 20 }],
        }
    }

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { uid, groups: groups.to_vec(), pid: None }
    }

    #[test]
    fn groups_give_roles_and_numbers_of_users_do_not() {
        let access = access();
        assert_eq!(access.role_of(&peer(0, &[])), Some(Role::Operator));
        assert_eq!(access.role_of(&peer(900, &[])), Some(Role::Operator));
        assert_eq!(access.role_of(&peer(1000, &[1000, 10])), Some(Role::Reader));
        assert_eq!(access.role_of(&peer(1000, &[20, 10])), Some(Role::Operator));
        assert_eq!(access.role_of(&peer(20, &[1000])), None);
        assert_eq!(access.role_of(&peer(1000, &[0])), None, "the group of root is a group as others are");
    }

    #[test]
    fn a_refusal_names_who_what_and_how() {
        let text = access().refusal(&peer(4_000_000, &[10]), "apply", Role::Operator);
        assert!(
            text.starts_with("user (uid 4000000) may not apply: that takes the role operator."),
            "{text}"
        );
        assert!(text.contains("members of `ops` have it"), "{text}");
        let none = Access { operators: Vec::new(), ..access() };
        let text = none.refusal(&peer(0, &[]), "rollback", Role::Operator);
        assert!(text.contains("`root` (uid 0)") && text.contains("--operators GROUP"), "{text}");
        let text = access().refusal(&peer(1, &[]), "status", Role::Reader);
        assert!(text.contains("`soc`, `ops`"), "{text}");
    }

    #[test]
    fn an_unknown_group_is_an_error() {
        let error = Access::new(&["no-such-group".to_owned()], &[]).unwrap_err();
        assert!(error.contains("`no-such-group`") && error.contains("number"), "{error}");
        assert!(!Access::new(&[], &[]).unwrap().is_shared());
        assert!(Access::new(&[], &["4711".to_owned()]).unwrap().is_shared());
    }
}
