//! Every mistake at once: a configuration that is refused one line at a time is deployed half-right.
//!
//! A mistake closes the part of the gateway that it can make wrong, and no more. What can make a call free, cheaper, or
//! paid to another address closes everything; what is merely unused closes nothing and is a warning.

use super::bindings::base_name;
use std::fmt;

/// A part of the gateway that a mistake closes: what is asked there is answered with 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The whole, free paths included: without it a call could be free, or a path could be missing its price.
    Everything,
    /// What is paid for on chain. Free paths, and calls paid with prepaid credits, go on.
    Sales,
    /// Packages, keys and the dashboard. Single payments go on.
    Credits,
    /// The operator's paths.
    Admin,
    /// The documents: they are not there, and their paths are treated as any other.
    Documents,
}

impl Area {
    const ALL: [Self; 5] = [Self::Everything, Self::Sales, Self::Credits, Self::Admin, Self::Documents];

    /// What a mistake in a variable closes.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.split(['.', '[']).next().unwrap_or_default();
        match base_name(name) {
            "FACILITATORS" | "CDP_API_KEY_ID" | "CDP_API_KEY_SECRET" | "RPC" | "SMART_WALLETS" | "CHALLENGE_BODY" => {
                Self::Sales
            }
            "PACKAGES" | "CREDIT_VALUE" | "KEY_SECRET" | "KEY_SECRET_PREVIOUS" => Self::Credits,
            "ADMIN_TOKEN" => Self::Admin,
            "SERVICE" | "DISCOVERY" | "OPENAPI" => Self::Documents,
            _ => Self::Everything,
        }
    }

    /// As the log and the documentation name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Sales => "sales",
            Self::Credits => "credits",
            Self::Admin => "admin",
            Self::Documents => "documents",
        }
    }
}

/// One thing that is wrong: where, what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The path of the value, as `ROUTES."GET /weather/*".price`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub cure: String,
    /// What it closes; nothing for a warning.
    pub closes: Option<Area>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.problem, self.cure)?;
        match self.closes {
            Some(area) => write!(f, " (closes {})", area.as_str()),
            None => f.write_str(" (a warning)"),
        }
    }
}

/// All that is wrong, in the order in which it was found, and all that is worth a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
    /// What is closed whatever the path says, while [`Mistakes::within`] runs.
    area: Option<Area>,
}

impl Mistakes {
    /// Notes one more. It closes what its variable can make wrong.
    pub(super) fn add(&mut self, path: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) {
        let path = path.into();
        let closes = Some(self.area.unwrap_or_else(|| Area::of(&path)));
        self.mistakes.push(Mistake { path, problem: problem.into(), cure: cure.into(), closes });
    }

    /// Notes what is unused or superfluous: it can make nothing free, cheaper or wrong.
    pub(super) fn warn(&mut self, path: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) {
        let (path, problem, cure) = (path.into(), problem.into(), cure.into());
        self.warnings.push(Mistake { path, problem, cure, closes: None });
    }

    /// What is noted meanwhile closes this part.
    pub(super) fn within<T>(&mut self, area: Area, act: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.area.replace(area);
        let done = act(self);
        self.area = outer;
        done
    }

    /// Whether nothing is wrong; there may be warnings.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Whether something is wrong that closes this part.
    #[must_use]
    pub fn close(&self, area: Area) -> bool {
        self.mistakes.iter().any(|mistake| mistake.closes == Some(area))
    }

    /// The parts that are closed.
    #[must_use]
    pub fn closed(&self) -> Vec<Area> {
        Area::ALL.into_iter().filter(|area| self.close(*area)).collect()
    }

    /// The mistakes, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter()
    }

    /// The warnings, one by one.
    pub fn warnings(&self) -> impl Iterator<Item = &Mistake> {
        self.warnings.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.mistakes.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}
