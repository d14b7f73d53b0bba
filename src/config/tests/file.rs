use super::*;
use crate::config::wrangler;

const FILE: &str = include_str!("../../../wrangler.toml");

fn mistakes(text: &str) -> Vec<String> {
    let (_, mistakes) = wrangler::read(text, None).unwrap();
    mistakes.iter().map(|mistake| mistake.path.clone()).collect()
}

fn without(start: &str) -> String {
    FILE.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_a_deployment_needs_is_missed() {
    assert_eq!(mistakes(FILE), Vec::<String>::new());
    for name in ["main", "compatibility_date", "compatibility_flags"] {
        assert_eq!(mistakes(&without(name)), [name]);
    }
    assert_eq!(mistakes(&FILE.replace("enable_request_signal", "nodejs_compat")), ["compatibility_flags"]);
}

#[test]
fn a_variable_outside_of_its_table_is_missed() {
    assert_eq!(mistakes(&FILE.replace("[vars.ROUTES]", "[ROUTES]")), ["ROUTES"]);
    let mut slipped = good();
    slipped["ROUTES"] = json!({ "GET /a": "$1", "DEFAULT": "deny" });
    assert_eq!(paths(&slipped), [r#"ROUTES."DEFAULT""#]);
}

#[test]
fn slips_are_told_their_own_cure() {
    let cure = |value: &Value| match Config::resolve(&bindings(value)) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.cure.clone()).next().unwrap(),
    };
    assert_eq!(cure(&with("NETWORKS", json!("base"))), r#"write a list: ["base"]"#);
    let cdp = cure(&with("FACILITATORS", json!(["https://api.cdp.coinbase.com/platform/v2/x402"])));
    assert!(cdp.contains(r#"auth = "cdp""#), "{cdp}");
}
