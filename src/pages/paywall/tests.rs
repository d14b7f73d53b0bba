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
        challenge.header = Some(header);
        assert_eq!(paywall(&config, terms, &challenge), None);
    }
    challenge.header = None;
    assert_eq!(paywall(&config, terms, &challenge), None);
}

/// The ways to pay, as the page's script writes them: `waysOf` in `paywall.html`.
fn ways(data: &Value, goods: Option<&Value>) -> Vec<Value> {
    let (terms, price) = goods.map_or((data, &data["price"]), |goods| (&data["purchase"], &goods["price"]));
    let price: crate::money::Price = price.as_str().unwrap().parse().unwrap();
    let left_out = if goods.is_some() { "answer" } else { "packages" };
    let tokens = data["tokens"].as_array().unwrap().iter().filter(|token| token["only"] != left_out);
    tokens
        .map(|token| {
            let amount = price.in_units_of(u8::try_from(token["decimals"].as_u64().unwrap()).unwrap()).unwrap();
            let mut extra = json!({ "name": token["name"], "version": token["version"] });
            if !terms["flow"].is_null() {
                extra["paymentFlow"] = terms["flow"].clone();
            }
            json!({
                "scheme": "exact", "network": format!("eip155:{}", token["chainId"]), "amount": amount.to_string(),
                "asset": token["asset"], "payTo": terms["payTo"], "maxTimeoutSeconds": terms["seconds"], "extra": extra,
            })
        })
        .collect()
}

#[test]
fn the_page_says_what_the_header_says_and_what_people_ask() {
    let config = with_packages();
    let support = Support(Vec::new());
    let (terms, challenge) = challenged(&config, &support, &request("GET", "/paid/x"));
    let page = paywall(&config, terms, &challenge).unwrap();
    let data = data(&page);
    let header: Value = serde_json::from_slice(&STANDARD.decode(challenge.header.as_ref().unwrap()).unwrap()).unwrap();
    assert_eq!(json!(ways(&data, None)), header["accepts"]);
    assert_eq!(data["extensions"][PAYMENT_IDENTIFIER], header["extensions"][PAYMENT_IDENTIFIER]);
    assert_eq!(
        (&data["price"], &data["credits"], &data["dashboard"]),
        (&json!("$0.001"), &json!(1), &json!("/dashboard"))
    );
    assert_eq!(data["packages"], json!([{ "name": "small", "credits": 5, "price": "$1" }]));
    assert_eq!((data["tokens"].as_array().unwrap().len(), &data["more"]), (2, &json!(0)), "each once");
    assert_eq!(data["replay"], terms.replay_seconds, "how long an answer is shown again");
    assert_eq!((&data["tokens"][0]["chain"], &data["tokens"][0]["test"]), (&json!("Base Sepolia"), &json!(true)));
    assert_eq!((&data["tokens"][1]["chain"], &data["tokens"][1]["test"]), (&json!("Base"), &Value::Null));
    assert_eq!(page.links, challenge.links);
    assert!(page.links.unwrap().contains("service-desc"));
}

#[test]
fn a_package_is_shown_as_it_is_sold() {
    // The route has another price, another recipient and other networks than its packages.
    let config = config(&[
        ("PACKAGES", json!({ "small": { "price": "$1.5", "credits": 5 } })),
        ("KEY_SECRET", json!("a-secret-of-32-characters-or-so-")),
        (
            "ROUTES",
            json!({ "GET /paid/*": {
                "price": "$0.4", "credits": 1, "pay_to": "0x857b06519E91e3A54538791bDbb0E22373e36b66",
                "networks": ["eip155:8453", "eip155:137"],
            } }),
        ),
    ]);
    let support = Support(Vec::new());
    let data = data(&page_of(&config, "/paid/x"));
    let package = &config.credits.as_ref().unwrap().packages[0];
    let sold: Vec<Value> = package.terms.requirements.iter().map(Requirement::to_v2).collect();
    let mut shown = ways(&data, Some(&data["packages"][0]));
    shown.sort_by_key(|way| sold.iter().position(|one| one == way));
    assert_eq!(shown, sold);
    let (_, challenge) = challenged(&config, &support, &request("GET", "/paid/x"));
    let header: Value = serde_json::from_slice(&STANDARD.decode(challenge.header.as_ref().unwrap()).unwrap()).unwrap();
    assert_eq!(json!(ways(&data, None)), header["accepts"]);
    assert_eq!(format!("{}{}", data["purchase"]["path"].as_str().unwrap(), package.name), package.path());
}

#[test]
fn no_credits_are_offered_where_no_key_is_taken() {
    let data = data(&page_of(&with_packages(), "/keyless"));
    assert_eq!((&data["credits"], &data["packages"], &data["purchase"]), (&Value::Null, &json!([]), &Value::Null));
    assert_eq!(data["tokens"].as_array().unwrap().len(), 1);
    let none = self::data(&page_of(&config(&[]), "/paid/x"));
    assert_eq!((&none["packages"], &none["dashboard"]), (&json!([]), &Value::Null));
}

#[test]
fn no_text_becomes_markup_and_all_of_it_is_shown() {
    let page = page_of(&with_packages(), "/paid/x");
    assert!(!page.html.contains("<img"));
    assert!(page.html.contains(&embed::text(HOSTILE)));
    assert!(page.html.contains("<strong id=\"price\">$0.001</strong>"));
    assert!(page.html.contains("<dd id=\"network\">Base Sepolia, in USDC</dd>"));
    assert_eq!(page.html.matches("</script>").count(), 2);
}

/// As bad as a configuration may be.
fn worst(letter: &str, assets: u8, packages: u8, name: usize) -> Config {
    // Those that credits may be sold beside.
    let known = crate::evm::assets::known_networks().filter(|network| network.is_live() || network.is_test());
    let networks: Vec<String> = known.map(|network| network.to_string()).collect();
    let coin = |n: u8| {
        let text = "<".repeat(name);
        json!({
            "network": "eip155:84532", "address": format!("0x{n:040}"), "name": text, "version": "1", "decimals": 18,
            "symbol": text,
        })
    };
    let text = letter.repeat(500);
    let package = |n: u8| (format!("package-{n:0>24}"), json!({ "price": "$99999999.999999", "credits": 999_999_999 }));
    let schema = json!({ "query": { "words": { "type": "string", "description": letter.repeat(700) } } });
    config(&[
        ("NETWORKS", json!(networks)),
        ("ASSETS", (1..=assets).map(coin).collect()),
        ("SERVICE", json!({ "name": "&".repeat(32), "description": text, "tags": vec!["<".repeat(32); 5] })),
        ("PACKAGES", (1..=packages).map(package).collect::<serde_json::Map<_, _>>().into()),
        ("CREDIT_VALUE", json!("$1")),
        ("KEY_SECRET", json!("a-secret-of-32-characters-or-so-")),
        (
            "ROUTES",
            json!({ "GET /paid/*": {
                "price": "$9.999999", "settle": "before", "description": text, "mime_type": text, "input": schema,
                "payment_identifier": "required", "credits": 1,
            } }),
        ),
    ])
}

#[test]
fn it_is_never_large() {
    for letter in ["&", "<", "\u{1f4b8}"] {
        for (assets, packages, name) in [(0, 3, 0), (4, 150, 20), (1, 3, 2_000)] {
            let config = worst(letter, assets, packages, name.max(1));
            for (path, query) in [(1, 0), (12_000, 12_000)] {
                let support = Support(Vec::new());
                let mut facts = request("GET", &format!("/paid/{}", "p".repeat(path)));
                facts.query = Some("%26".repeat(query / 3));
                let (terms, challenge) = challenged(&config, &support, &facts);
                let page = paywall(&config, terms, &challenge).unwrap();
                assert!(page.html.len() <= MOST_BYTES, "{letter} {assets} {packages}: {} bytes", page.html.len());
                // Whatever is left out, there is a way to pay, and something to buy.
                let data = data(&page);
                let [tokens, goods] = ["tokens", "packages"].map(|key| data[key].as_array().unwrap().len());
                assert!(tokens > 4 && goods > 0, "{tokens} {goods}");
                let all = terms.requirements.len() + usize::from(packages);
                assert_eq!(data["more"], all - tokens - goods);
            }
        }
    }
}

#[test]
fn an_ordinary_page_shows_all_there_is() {
    let config = config(&[
        (
            "NETWORKS",
            json!(
                ["eip155:84532", "eip155:8453", "eip155:137", "eip155:42161", "eip155:43114", "eip155:10", "eip155:1"]
                    .into_iter()
                    .filter(|network| network.parse().is_ok_and(|n| crate::evm::assets::default_asset(n).is_some()))
                    .collect::<Vec<_>>()
            ),
        ),
        (
            "PACKAGES",
            json!({
                "small": { "price": "$1", "credits": 5 }, "large": { "price": "$9", "credits": 50 },
                "vast": { "price": "$80", "credits": 500 },
            }),
        ),
        ("KEY_SECRET", json!("a-secret-of-32-characters-or-so-")),
    ]);
    let page = page_of(&config, "/paid/x");
    let data = data(&page);
    assert_eq!((&data["more"], data["packages"].as_array().unwrap().len()), (&json!(0), 3));
}
