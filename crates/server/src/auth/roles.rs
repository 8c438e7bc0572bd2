//! Levels, scopes, and what somebody who was recognised may do.

use super::tokens::actor;
use crate::error::{ApiError, ErrorKind};
use esclusa_model::Actor;
use esclusa_store::TokenRecord;
use std::collections::BTreeSet;

/// What a token may do; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// See.
    Viewer,
    /// Decide at gates: let a release go on, or take it back.
    Approver,
    /// Move releases.
    Operator,
    /// Give and take tokens.
    Admin,
}

impl Access {
    /// All of them, the smallest first.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Viewer, Self::Approver, Self::Operator, Self::Admin];

    fn parse(role: &str) -> Option<Self> {
        match role {
            "viewer" => Some(Self::Viewer),
            "approver" => Some(Self::Approver),
            "operator" => Some(Self::Operator),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// What an endpoint asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing.
    Public,
    /// Some level of access.
    Needs(Access),
    /// Any token.
    AnyToken,
    /// Any token; its roles are checked against the one that is signed off.
    SignOff,
}

impl Scope {
    /// The word for it in the API's description.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Needs(Access::Viewer) => "viewer",
            Self::Needs(Access::Approver) => "approver",
            Self::Needs(Access::Operator) => "operator",
            Self::Needs(Access::Admin) => "admin",
            Self::AnyToken => "token",
            Self::SignOff => "sign-off",
        }
    }
}

/// Roles in which a caller may agree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PlanRoles {
    /// The owner of the machine.
    Every,
    /// Those of the token.
    These(BTreeSet<String>),
}

/// Somebody who was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name that is recorded.
    pub actor: Actor,
    /// The person behind it, where that is known.
    pub person: Option<String>,
    access: Option<Access>,
    plan_roles: PlanRoles,
}

impl Caller {
    /// Somebody on the machine itself, under this name.
    pub(crate) fn owner(name: &'static str) -> Result<Self, ApiError> {
        Ok(Self {
            actor: actor(name)?,
            person: None,
            access: Some(Access::Admin),
            plan_roles: PlanRoles::Every,
        })
    }

    pub(super) fn of(record: &TokenRecord) -> Self {
        // Whoever is asked to agree must be able to see to what.
        let access = record
            .roles
            .iter()
            .map(|role| Access::parse(role).unwrap_or(Access::Viewer))
            .max();
        // A plan may well have a role of the name `approver`: whoever was given that word
        // was given both.
        let roles = record.roles.iter().filter(|role| {
            let level = Access::parse(role);
            level.is_none_or(|level| level == Access::Approver)
        });
        Self {
            actor: record.name.clone(),
            person: record.person.clone(),
            access,
            plan_roles: PlanRoles::These(roles.cloned().collect()),
        }
    }

    /// Whether this caller may use an endpoint.
    ///
    /// # Errors
    /// 403, with what is missing.
    pub(crate) fn may(&self, scope: Scope) -> Result<(), ApiError> {
        match scope {
            Scope::Public | Scope::AnyToken | Scope::SignOff => Ok(()),
            Scope::Needs(needed) if self.access.is_some_and(|access| access >= needed) => Ok(()),
            Scope::Needs(_) => Err(ApiError::new(
                ErrorKind::Forbidden,
                "ESC-0403",
                format!("token {} lacks the role {}", self.actor, scope.as_str()),
                "ask an admin for a token with that role: `esclusa token create`",
            )),
        }
    }

    /// Whether this caller may agree in a role.
    ///
    /// # Errors
    /// 403 when the role is not among those of the token.
    pub(crate) fn may_sign_off(&self, role: &str) -> Result<(), ApiError> {
        match &self.plan_roles {
            PlanRoles::Every => Ok(()),
            PlanRoles::These(roles) if roles.contains(role) => Ok(()),
            PlanRoles::These(_) => Err(ApiError::new(
                ErrorKind::Forbidden,
                "ESC-0403",
                format!("token {} may not sign off as {role}", self.actor),
                "a token signs off only in roles that it was created with",
            )),
        }
    }

    /// Everybody who has a hand in what this caller does, by name.
    pub(crate) fn hands(&self) -> Vec<String> {
        let actor = std::iter::once(self.actor.to_string());
        actor.chain(self.person.clone()).collect()
    }

    /// The roles as words, for pages.
    pub(crate) fn roles(&self) -> Vec<String> {
        let access = self
            .access
            .map(|access| Scope::Needs(access).as_str().to_owned());
        let mut words: Vec<String> = access.into_iter().collect();
        match &self.plan_roles {
            PlanRoles::Every => words.push("*".to_owned()),
            PlanRoles::These(roles) => {
                for role in roles {
                    if !words.contains(role) {
                        words.push(role.clone());
                    }
                }
            }
        }
        words
    }
}
