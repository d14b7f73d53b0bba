use super::*;
use crate::config::Bindings;
use crate::gate::{Decision, Triage, price, triage};
use crate::x402::supported::Support;

const BROWSER: Visitor<'static> = Visitor {
    accept: Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
};
const HOSTILE: &str = "</script><img src=x onerror=alert(1)> {{offer}} <!--static--> <!-- ' \" & \u{2028}";

fn config(more: &[(&str, Value)]) -> Config {
    let mut bindings = Bindings::from_iter([
        ("ORIGIN".to_owned(), json!("https://api.example.com")),
        ("PAY_TO".to_owned(), json!("0x209693Bc6afc0C5328bA36FaF03C514EF312287C")),
        ("NETWORKS".to_owned(), json!(["eip155:84532", "eip155:8453"])),
        ("FACILITATORS".to_owned(), json!(["https://x402.org/facilitator"])),
        (
            "ROUTES".to_owned(),
            json!({
                "GET /paid/*": { "price": "$0.0010", "description": HOSTILE },
                "GET /keyless": { "price": "$0.001", "credits": "none", "networks": ["eip155:8453"] },
                "POST /paid/*": "$0.01",
            }),
        ),
    ]);
    bindings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Config::resolve(&bindings).unwrap()
}

fn with_packages() -> Config {
    config(&[
        ("PACKAGES", json!({ "small": { "price": "$1", "credits": 5 } })),
        ("KEY_SECRET", json!("a-secret-of-32-characters-or-so-")),
    ])
}

fn request(method: &str, path: &str) -> Facts {
    Facts { method: method.into(), base: "https://gate".into(), path: path.into(), now: 1, ..Facts::default() }
}

/// The challenge to a request, and what it is about.
fn challenged<'a>(config: &'a Config, support: &'a Support, facts: &Facts) -> (&'a Terms, Box<Challenge>) {
    let Triage::Priced(terms, path) = triage(config, facts) else { panic!("not priced") };
    match price(config, support, terms, facts, &path) {
        Decision::Challenge(challenge) => (terms, challenge),
        other => panic!("{other:?}"),
    }
}

fn page_of(config: &Config, path: &str) -> Page {
    let support = Support(Vec::new());
    let (terms, challenge) = challenged(config, &support, &request("GET", path));
    paywall(config, terms, &challenge).unwrap()
}

/// What the page's script reads.
fn data(page: &Page) -> Value {
    let (_, rest) = page.html.split_once("<script type=\"application/json\" id=\"offer\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_browser_gets_a_page_and_nobody_else() {
    let config = config(&[]);
    let support = Support(Vec::new());
    let shown = |visitor: Visitor<'_>, change: &dyn Fn(&mut Facts)| {
        let mut facts = request("GET", "/paid/x");
        let (_, challenge) = challenged(&config, &support, &facts);
        change(&mut facts);
        visitor.is_shown(&challenge, &facts)
    };
    assert!(shown(BROWSER, &|_| {}));
    assert!(shown(BROWSER, &|facts| facts.method = "HEAD".into()));
    assert!(shown(Visitor { accept: Some("TEXT/HTML"), ..BROWSER }, &|_| {}));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        assert!(!shown(BROWSER, &|facts| facts.method = method.into()), "{method}");
    }
    for visitor in [
        Visitor::default(),
        Visitor { accept: None, ..BROWSER },
        Visitor { user_agent: None, ..BROWSER },
        Visitor { accept: Some("*/*"), ..BROWSER },
        Visitor { accept: Some("application/json"), ..BROWSER },
        Visitor { user_agent: Some("curl/8.5.0"), ..BROWSER },
    ] {
        assert!(!shown(visitor, &|_| {}), "{visitor:?}");
    }
    let credentials: [&dyn Fn(&mut Facts); 4] = [
        &|facts| facts.payment_signature = Some("e30=".into()),
        &|facts| facts.x_payment = Some("e30=".into()),
        &|facts| facts.sign_in = Some("e30=".into()),
        &|facts| facts.authorization = Some("Bearer of-the-origins-own".into()),
    ];
    for credential in credentials {
        assert!(!shown(BROWSER, credential));
    }
}

#[test]
fn only_the_plain_challenge_is_a_page() {
    let config = config(&[]);
    let support = Support(Vec::new());
    let facts = request("GET", "/paid/x");
    let (terms, mut challenge) = challenged(&config, &support, &facts);
    assert!(BROWSER.is_shown(&challenge, &facts));
    for code in Code::ALL.iter().filter(|code| **code != Code::PaymentRequired) {
        challenge.problem = (*code).into();
        assert!(!BROWSER.is_shown(&challenge, &facts), "{}", code.as_str());
    }
    challenge.problem = Code::PaymentRequired.into();
    challenge.empty = true;
    assert!(!BROWSER.is_shown(&challenge, &facts));
    // Version 1 alone is on offer, or what is on offer cannot be read.
    for header in [crate::x402::encode_header(&json!({ "accepts": [] })), String::new(), "e30=".to_owned()] {
        challenge.header = header;
        assert_eq!(paywall(&config, terms, &challenge), None);
    }
}

#[test]
fn the_page_says_what_the_header_says_and_what_people_ask() {
    let config = with_packages();
    let support = Support(Vec::new());
    let (terms, challenge) = challenged(&config, &support, &request("GET", "/paid/x"));
    let data = data(&paywall(&config, terms, &challenge).unwrap());
    let header: Value = serde_json::from_slice(&STANDARD.decode(&challenge.header).unwrap()).unwrap();
    assert_eq!(data["required"], header);
    assert_eq!(data["price"], "$0.001");
    assert_eq!(data["credits"], 1);
    assert_eq!(data["dashboard"], "/dashboard");
    let package = json!({ "name": "small", "credits": 5, "price": "$1", "path": "/api/buy-credits/small" });
    assert_eq!(data["packages"], json!([package]));
    assert_eq!(data["tokens"].as_array().unwrap().len(), 2, "each once");
    for (token, entry) in data["tokens"].as_array().unwrap().iter().zip(header["accepts"].as_array().unwrap()) {
        assert_eq!((&token["network"], &token["asset"]), (&entry["network"], &entry["asset"]));
        assert_eq!((&token["symbol"], &token["decimals"]), (&json!("USDC"), &json!(6)));
    }
    assert_eq!(data["tokens"][0]["chain"]["name"], "Base Sepolia");
    assert_eq!(data["tokens"][1]["chain"]["test"], false);
}

#[test]
fn no_credits_are_offered_where_no_key_is_taken() {
    let data = data(&page_of(&with_packages(), "/keyless"));
    assert_eq!((&data["credits"], &data["packages"]), (&Value::Null, &json!([])));
    assert_eq!(data["tokens"].as_array().unwrap().len(), 1);
    let none = self::data(&page_of(&config(&[]), "/paid/x"));
    assert_eq!((&none["packages"], &none["dashboard"]), (&json!([]), &Value::Null));
}

#[test]
fn a_hostile_description_is_text() {
    let page = page_of(&config(&[]), "/paid/x");
    assert_eq!(data(&page)["required"]["resource"]["description"], HOSTILE);
    assert!(!page.html.contains("<img") && !page.html.contains("</script><"));
    assert_eq!(page.html.matches("<script").count(), 2);
    assert_eq!(page.html.matches("</script>").count(), 2);
    // Without a script it is read as well.
    assert!(page.html.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; {{offer}}"));
    // And what is hashed is what stands in the file, not what was put into it.
    assert_eq!(page.policy, page_of(&with_packages(), "/keyless").policy);
    assert_eq!(super::super::inner(&page.html, "script"), super::super::inner(TEMPLATE, "script"));
}

#[test]
fn without_a_script_the_price_is_there() {
    let page = page_of(&config(&[]), "/paid/x");
    let (_, rest) = page.html.split_once("<noscript>").unwrap();
    let (words, _) = rest.split_once("</noscript>").unwrap();
    assert!(words.contains("$0.001") && words.contains("USDC on Base Sepolia"), "{words}");
}

#[test]
fn the_policy_names_no_host() {
    let page = page_of(&config(&[]), "/paid/x");
    assert!(page.html.len() < 40 * 1024, "{} bytes", page.html.len());
    for part in ["default-src 'none'", "connect-src 'self'", "img-src data: blob:", "form-action 'none'"] {
        assert!(page.policy.contains(part), "{part} in {}", page.policy);
    }
    assert!(!page.policy.contains("http") && !page.policy.contains('*') && !page.policy.contains("unsafe"));
}
