//! `RPC`.

use super::*;
use crate::evm::network::Network;

#[test]
fn nodes_are_named_by_network_or_alone() {
    let base = Network::new(8453);
    let sepolia = Network::new(84532);
    let resolved = |rpc: Value, networks: Value| {
        let mut edited = with("RPC", rpc);
        edited["NETWORKS"] = networks;
        let config = Config::resolve(&bindings(&edited)).map_err(|mistakes| mistakes.to_string()).unwrap();
        let url = |network| config.rpc(network).map(|url| url.expose().to_owned());
        (url(base), url(sepolia))
    };
    let key = "https://base.example.com/v2/KEY?token=KEY";
    let table = json!({ "eip155:8453": key, "eip155:84532": "http://127.0.0.1:8545" });
    for written in [table.clone(), json!(format!(" {table}"))] {
        let both = resolved(written, json!(["eip155:84532", "eip155:8453"]));
        assert_eq!(both, (Some(key.into()), Some("http://127.0.0.1:8545/".into())));
    }
    assert_eq!(resolved(json!(format!("{key}\n")), json!(["eip155:8453"])), (Some(key.into()), None));
    assert_eq!(Config::resolve(&bindings(&good())).unwrap().rpc, Vec::new());
    // A route's own networks are sold on as well.
    let mut own = with("RPC", json!({ "eip155:8453": key }));
    own["ROUTES"] = json!({ "GET /a": { "price": "$1", "networks": ["eip155:8453"] } });
    assert_eq!(paths(&own), Vec::<String>::new());
    own["RPC"] = json!(key);
    assert_eq!(paths(&own), ["RPC"], "for which of the two?");
}

#[test]
fn mistakes_about_nodes_do_not_show_their_urls() {
    let network = "RPC.\"eip155:84532\"";
    for (written, path) in [
        (json!("http://x.example.com/KEY"), "RPC"),
        (json!("ws://x.example.com/KEY"), "RPC"),
        (json!("KEY"), "RPC"),
        (json!(""), "RPC"),
        (json!("{KEY"), "RPC"),
        (json!(["https://x.example.com/KEY"]), "RPC"),
        (json!(r#"{"eip155:84532":"https://x.com/KEY","eip155:84532":"https://x.com/KEY"}"#), "RPC"),
        (json!({ "https://x.example.com/KEY": "eip155:84532" }), "RPC"),
        (json!({ "base": "https://x.example.com/KEY" }), "RPC.\"base\""),
        (json!({ "eip155:84532": ["https://x.example.com/KEY"] }), network),
        (json!({ "eip155:84532": "http://x.example.com/KEY" }), network),
        (json!({ "eip155:84532": "https://1.2.3.4/KEY" }), network),
        (json!({ "eip155:84532": "https://user:KEY@x.example.com" }), network),
        (json!({ "eip155:84532": "https://x.example.com/#KEY" }), network),
    ] {
        let mistakes = Config::resolve(&bindings(&with("RPC", written.clone()))).unwrap_err();
        assert_eq!(mistakes.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(), [path], "{written}");
        assert!(!mistakes.to_string().contains("KEY"), "{mistakes}");
    }
    let unused = with("RPC", json!({ "eip155:8453": "https://x.example.com/KEY" }));
    let unused = Config::resolve(&bindings(&unused)).unwrap();
    let warnings: Vec<_> = unused.findings.warnings().map(ToString::to_string).collect();
    assert!(warnings.len() == 1 && warnings[0].starts_with("RPC.\"eip155:8453\"") && !warnings[0].contains("KEY"));
    let several = json!(["eip155:84532", "eip155:8453"]);
    let mut lone = with("NETWORKS", several);
    lone["RPC"] = json!("https://x.example.com/KEY");
    let mistakes = Config::resolve(&bindings(&lone)).unwrap_err().to_string();
    assert!(mistakes.contains("eip155:84532, eip155:8453") && !mistakes.contains("KEY"), "{mistakes}");
    assert!(paths(&with("RPC_1", json!({}))).contains(&"RPC_1".to_owned()), "it is not split");
}
