//! `auth = "cdp"` and its two secrets.

use super::*;

const CDP_SECRET: &str = "EQsBtSzuAjPKHnxtNu1HaFb9Yd/94MoF3zgq042FRju7uRvG0xmPYpVLnaygJkwrjBx6xQYlAuovEcIKXmmcVg==";

/// A facilitator that wants CDP's tokens, beside one that does not.
fn with_cdp() -> Value {
    let mut cdp = with(
        "FACILITATORS",
        json!([{ "url": "https://api.cdp.coinbase.com/platform/v2/x402", "auth": "cdp" }, "https://x402.org/facilitator"]),
    );
    cdp["CDP_API_KEY_ID"] = json!("organizations/7f3c/apiKeys/19ab");
    cdp["CDP_API_KEY_SECRET"] = json!(CDP_SECRET);
    cdp
}

#[test]
fn only_the_facilitator_that_asks_for_tokens_gets_them() {
    let config = Config::resolve(&bindings(&with_cdp())).unwrap();
    let signs: Vec<bool> = config.facilitators.iter().map(|facilitator| facilitator.cdp.is_some()).collect();
    assert_eq!(signs, [true, false]);
    assert!(!format!("{config:?}").contains(CDP_SECRET));
    assert_eq!(config.facilitators[0], config.facilitators[0].clone());
    let mut keyed = with_cdp();
    keyed["FACILITATORS"][0]["headers"] = json!({ "X-Partner": "7" });
    assert_eq!(paths(&keyed), Vec::<String>::new(), "other headers are no contradiction");
}

#[test]
fn a_key_that_is_missing_or_malformed_is_a_mistake_and_an_unused_one_a_warning() {
    for name in ["CDP_API_KEY_ID", "CDP_API_KEY_SECRET"] {
        let mut partial = with_cdp();
        partial.as_object_mut().unwrap().remove(name);
        let mistakes = Config::resolve(&bindings(&partial)).unwrap_err();
        let found: Vec<_> = mistakes.iter().map(|mistake| (mistake.path.as_str(), mistake.cure.as_str())).collect();
        assert_eq!(found, [(name, format!("set it as a secret: npx wrangler secret put {name}").as_str())]);
        for odd in [json!(""), json!(7), json!({})] {
            partial[name] = odd.clone();
            assert_eq!(paths(&partial), [name], "{odd}");
        }
        let mut unused = good();
        unused[name] = with_cdp()[name].clone();
        assert_eq!(warned(&unused), [name], "it may stand there before the facilitator that will use it");
    }
    for (name, odd) in
        [("CDP_API_KEY_ID", "my key"), ("CDP_API_KEY_SECRET", "my secret"), ("CDP_API_KEY_SECRET", &CDP_SECRET[4..])]
    {
        let mut malformed = with_cdp();
        malformed[name] = json!(odd);
        let mistakes = Config::resolve(&bindings(&malformed)).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.path.as_str()).collect::<Vec<_>>(), [name]);
        assert!(!mistakes.to_string().contains(odd), "a secret in the log: {mistakes}");
    }
}

#[test]
fn one_authorization_and_one_way_to_make_it() {
    for name in ["Authorization", "authorization"] {
        let mut twice = with_cdp();
        twice["FACILITATORS"][0]["headers"] = json!({ name: "Bearer x" });
        assert_eq!(paths(&twice), [format!("FACILITATORS[0].headers.{name:?}")]);
    }
    for way in [json!("CDP"), json!("basic"), json!(true), json!(null)] {
        let mut odd = with_cdp();
        odd["FACILITATORS"][0]["auth"] = way.clone();
        assert_eq!(paths(&odd), ["FACILITATORS[0].auth"], "{way}");
    }
}

#[test]
fn a_file_need_not_hold_the_secrets_that_it_wants() {
    let mut file = with_cdp();
    assert_eq!(Config::resolve_file(&bindings(&file)).unwrap().1, Vec::<&str>::new());
    for name in ["CDP_API_KEY_SECRET", "CDP_API_KEY_ID"] {
        file.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(Config::resolve_file(&bindings(&file)).unwrap().1, ["CDP_API_KEY_ID", "CDP_API_KEY_SECRET"]);
    assert_eq!(Config::resolve_file(&bindings(&good())).unwrap().1, Vec::<&str>::new());
    file["CDP_API_KEY_SECRET"] = json!("my secret");
    assert!(Config::resolve_file(&bindings(&file)).is_ok(), "half a key cannot be judged");
    file["CDP_API_KEY_ID"] = json!("id");
    Config::resolve_file(&bindings(&file)).unwrap_err();
}
