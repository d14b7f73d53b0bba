use super::*;

fn mistakes_in_a_file(value: &Value) -> Vec<String> {
    match Config::resolve_file(&bindings(value)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.path.clone()).collect(),
    }
}

#[test]
fn nobody_is_paid_at_the_examples_address_with_real_money() {
    assert_eq!(mistakes_in_a_file(&good()), Vec::<String>::new(), "play money may go there");
    let mut real = with("NETWORKS", json!(["eip155:84532", "eip155:8453"]));
    real["FACILITATORS"] = json!(["https://facilitator.example.com"]);
    real["FACILITATORS"] = json!(["https://facilitator.example.com"]);
    real["ROUTES"] = json!({ "GET /a": "$1", "GET /b": "$2" });
    assert_eq!(mistakes_in_a_file(&real), ["PAY_TO"], "said once");
    real["PAY_TO"] = json!("0x1111111111111111111111111111111111111111");
    assert_eq!(mistakes_in_a_file(&real), Vec::<String>::new());
    real["ROUTES"] = json!({ "GET /a": { "price": "$1", "pay_to": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C" } });
    assert_eq!(mistakes_in_a_file(&real), [r#"ROUTES."GET /a".pay_to"#]);
}

#[test]
fn no_tokens_contract_is_paid() {
    for token in ["0x036CbD53842c5426634e7929541eC2318f3dCF7e", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"] {
        assert_eq!(paths(&with("PAY_TO", json!(token))), ["PAY_TO"], "{token}");
    }
}
