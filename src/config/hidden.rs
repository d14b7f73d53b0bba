//! Routes that can never be reached, as a path of the gateway's own is in their place.

use super::mistakes::Mistakes;
use super::route::{Route, Settle};
use crate::http::path::CanonicalPath;

/// Named whole, or below it: nothing of such a route is left to the API.
pub(super) fn check(routes: &[Route], credits: bool, admin: bool, in_a_file: bool, mistakes: &mut Mistakes) {
    let deferred =
        routes.iter().any(|route| route.terms.as_ref().is_some_and(|terms| terms.settle == Settle::Deferred));
    // The token is not seen in a file; the path may be the API's own.
    let below = [
        ("/api/admin", admin, "ADMIN_TOKEN is set"),
        ("/api/debts", deferred, "a route is deferred"),
        ("/api/buy-credits", credits, "PACKAGES are sold"),
        ("/dashboard", credits, "PACKAGES are sold"),
    ];
    let whole = ["/dashboard", "/api/credits", "/api/credits/rotate", "/api/credits/revoke"];
    for route in routes {
        let under =
            below.iter().filter(|(_, there, _)| *there).find(|(path, ..)| route.pattern.is_below(&segments(path)));
        let at = whole.iter().filter(|_| credits).find(|path| route.pattern.is_literally(&segments(path)));
        let Some((path, why)) =
            under.map(|(path, _, why)| (*path, *why)).or_else(|| at.map(|path| (*path, "PACKAGES are sold")))
        else {
            continue;
        };
        let name = format!("ROUTES.{:?}", route.pattern.as_str());
        let problem = format!("is never reached: {path} is the gateway's own while {why}");
        let cure = "move the API's path, and remove the route";
        // Nothing is free or cheaper by it: a Worker says so, and goes on.
        if in_a_file {
            mistakes.add(name, problem, cure);
        } else {
            mistakes.warn(name, problem, cure);
        }
    }
}

fn segments(path: &str) -> Vec<String> {
    CanonicalPath::new(path).map(|path| path.segments().to_vec()).unwrap_or_default()
}
