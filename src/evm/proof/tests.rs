use super::evidence::TRANSFER;
use super::*;
use node::{Event, Node, canceled_event, drive, event, paid, question, transfer, used};
use proptest::prelude::*;

mod node;

fn settled(node: &Node, index: usize) -> Step {
    Step::Done(Proof::Settled { transaction: node.hash(index) })
}

fn is_void(step: &Step) -> bool {
    matches!(step, Step::Done(Proof::Void { .. }))
}

fn is_open(step: &Step) -> bool {
    matches!(step, Step::Inconclusive(_))
}

#[test]
fn what_a_real_node_answers_is_understood() {
    let recorded: Value = serde_json::from_str(include_str!("anvil.json")).unwrap();
    let text = |key: &str| recorded[key].as_str().unwrap();
    let ask = |question: Question| {
        drive(question, |method, params| {
            let entries = recorded["answers"].as_array().unwrap();
            let entry = entries.iter().find(|e| e["method"] == method && e["params"] == *params);
            entry.unwrap_or_else(|| panic!("{method} {params} was not recorded"))["answer"].clone()
        })
    };
    let asked = Question {
        asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".parse().unwrap(),
        payer: text("payer").parse().unwrap(),
        nonce: text("nonce").parse().unwrap(),
        pay_to: text("pay_to").parse().unwrap(),
        valid_before: recorded["valid_before"].as_u64().unwrap(),
        claimed_at: recorded["claimed_at"].as_u64().unwrap(),
        ..question()
    };
    let transaction = text("transaction").to_owned();
    let paid = Step::Done(Proof::Settled { transaction: transaction.clone() });
    // Edits the question that is asked.
    let with = |edit: &dyn Fn(&mut Question)| {
        let mut question = asked.clone();
        edit(&mut question);
        ask(question)
    };
    assert_eq!(ask(asked.clone()), paid);
    assert_eq!(with(&|question| question.transaction = Some(transaction.clone())), paid);
    assert_eq!(with(&|question| question.transaction = Some(format!("0x{}", "11".repeat(32)))), paid);
    assert_eq!(with(&|question| question.nonce = B256::ZERO), Step::Done(Proof::Unused));
    let long_ago = |question: &mut Question| {
        (question.nonce, question.valid_before) = (B256::ZERO, question.claimed_at - 100);
    };
    assert_eq!(with(&long_ago), Step::Done(Proof::Expired));
    assert_eq!(with(&|question| question.claimed_at += 1_000), Step::Done(Proof::SpentBefore { transaction }));
    assert!(is_void(&with(&|question| question.pay_to = Address::ZERO)));
    assert!(is_open(&with(&|question| question.asset = Address::repeat_byte(2))), "no contract there");
}

#[test]
fn the_time_of_the_use_decides_whose_it_is() {
    for (time, ours) in [(50_000, true), (50_060, true), (49_970, true), (49_968, false), (40_000, false), (10, false)]
    {
        let node = Node::at(51_000).with(time, &[used(0x77), paid()]);
        let expected =
            if ours { settled(&node, 0) } else { Step::Done(Proof::SpentBefore { transaction: node.hash(0) }) };
        assert_eq!(node.ask(question()), expected, "{time}");
        assert_eq!(node.ask(Question { transaction: Some(node.hash(0)), ..question() }), expected, "{time}, named");
    }
}

#[test]
fn nothing_but_our_transfer_is_a_payment() {
    let elsewhere = Event { address: Address::repeat_byte(9), ..paid() };
    let of_another =
        event(&[TRANSFER, B256::ZERO, question().pay_to.into_word()], &U256::from(10_000).to_be_bytes::<32>());
    for other in [transfer(question().payer, 10_000), transfer(question().pay_to, 9_999), elsewhere, of_another] {
        let node = Node::at(51_000).with(50_010, &[used(0x77), other.clone()]);
        assert!(is_void(&node.ask(question())), "{other:?}");
        assert!(is_void(&node.ask(Question { transaction: Some(node.hash(0)), ..question() })), "{other:?}, named");
    }
    for odd in [Event { removed: true, ..paid() }, event(&paid().topics, &[1]), event(&paid().topics[..2], &[0; 64])] {
        assert!(is_open(&Node::at(51_000).with(50_010, &[used(0x77), odd.clone()]).ask(question())), "{odd:?}");
    }
    assert!(is_void(&Node::at(51_000).with(50_010, &[canceled_event()]).ask(question())));
    assert!(is_void(&Node::at(51_000).with(40_000, &[canceled_event()]).ask(question())), "before the claim as well");
}

#[test]
fn one_transfer_does_not_prove_two_authorizations() {
    let own = transfer(question().payer, 10_000);
    // Ours spent on himself, beside another of his, or a plain transfer, that did pay.
    let node = Node::at(51_000).with(50_010, &[used(0x77), own.clone(), used(0x78), paid()]);
    assert!(is_open(&node.ask(question())));
    assert_eq!(node.ask(Question { nonce: B256::repeat_byte(0x78), ..question() }), settled(&node, 0));
    for events in [[used(0x77), own.clone(), paid()], [paid(), used(0x77), own.clone()], [paid(), own, used(0x77)]] {
        assert!(is_open(&Node::at(51_000).with(50_010, &events).ask(question())), "{events:?}");
    }
    for honest in [
        vec![used(0x78), paid(), used(0x77), paid()],
        vec![used(0x77), paid(), used(0x78)],
        vec![paid(), used(0x77)],
        vec![paid(), used(0x77), used(0x78)],
    ] {
        let node = Node::at(51_000).with(50_010, &honest);
        assert_eq!(node.ask(question()), settled(&node, 0), "{honest:?}");
    }
}

#[test]
fn what_was_not_used_expires_once_it_is_buried() {
    for (newest, valid_before, proof) in [
        (51_000, 52_000, Proof::Unused),
        (51_000, 51_000, Proof::Unused),
        (51_000, 50_942, Proof::Unused),
        (51_000, 50_940, Proof::Expired),
    ] {
        assert_eq!(Node::at(newest).ask(Question { valid_before, ..question() }), Step::Done(proof), "{valid_before}");
    }
}

#[test]
fn a_named_transaction_is_a_hint() {
    let node = Node::at(51_000).with(50_004, &[paid()]).with(50_010, &[used(0x77), paid()]);
    for named in [node.hash(0), "0x".to_owned(), "pending".to_owned(), format!("0x{}", "00".repeat(32))] {
        assert_eq!(node.ask(Question { transaction: Some(named.clone()), ..question() }), settled(&node, 1), "{named}");
    }
    let mut reverted = node;
    reverted.transactions[1].status = "0x0";
    assert!(is_open(&reverted.ask(Question { transaction: Some(reverted.hash(1)), ..question() })));
}

#[test]
fn narrow_nodes_and_old_claims_are_searched_within_bounds() {
    for most_blocks in [2_000, 800, 100, 10] {
        let node = Node { most_blocks, ..Node::at(90_000).with(50_040, &[used(0x77), paid()]) };
        assert_eq!(node.ask(question()), settled(&node, 0), "{most_blocks}");
    }
    assert!(is_open(&Node { most_blocks: 5, ..Node::at(51_000).with(50_040, &[used(0x77), paid()]) }.ask(question())));
    // Further away than 25 ranges reach: used, but nobody can say where.
    assert!(is_open(
        &Node::at(200_000).with(100, &[used(0x77), paid()]).ask(Question { claimed_at: 199_000, ..question() })
    ));
}

#[test]
fn contradictions_prove_nothing_and_nothing_of_the_node_is_repeated() {
    let node = Node::at(51_000).with(50_010, &[used(0x77), paid()]);
    let bend_for = |question: Question, method: &'static str, edit: fn(&mut Value)| {
        drive(question, |asked, params| {
            let mut answer = json!({ "result": node.answer(asked, params).unwrap() });
            if asked == method {
                edit(&mut answer);
            }
            answer
        })
    };
    let bend = |method, edit| bend_for(question(), method, edit);
    let bend_named = |method, edit| bend_for(Question { transaction: Some(node.hash(0)), ..question() }, method, edit);
    let error = |answer: &mut Value| *answer = json!({ "error": { "code": -1, "message": "sk_live_KEY" } });
    for step in [
        bend("eth_chainId", |answer| answer["result"] = json!("0x1")),
        bend("eth_getLogs", |answer| answer["result"] = json!([])),
        bend("eth_getLogs", |answer| each_log(answer, "removed", &json!(true))),
        bend("eth_getLogs", |answer| each_log(answer, "blockHash", &other_hash())),
        bend("eth_getLogs", |answer| each_log(answer, "blockNumber", &json!("0xffffff"))),
        bend("eth_getLogs", |answer| each_log(answer, "topics", &json!(["x"]))),
        bend("eth_getLogs", |answer| {
            let logs = answer["result"].as_array_mut().unwrap();
            logs.extend(logs.clone());
        }),
        bend("eth_getTransactionReceipt", |answer| answer["result"] = Value::Null),
        bend("eth_getTransactionReceipt", |answer| answer["result"]["status"] = json!("0x0")),
        bend("eth_getTransactionReceipt", |answer| answer["result"]["logs"] = json!([])),
        bend("eth_getTransactionReceipt", |answer| answer["result"]["blockNumber"] = json!("0x1")),
        bend("eth_call", |answer| answer["result"] = json!("0x")),
        bend("eth_call", |answer| answer["id"] = json!(99)),
        bend_named("eth_getBlockByNumber", |answer| answer["result"]["hash"] = other_hash()),
        bend_named("eth_getTransactionReceipt", |answer| answer["result"]["transactionHash"] = other_hash()),
        bend("eth_chainId", error),
        bend("eth_getBlockByNumber", error),
        bend("eth_call", error),
        bend("eth_getLogs", error),
        bend("eth_getTransactionReceipt", error),
    ] {
        assert!(matches!(&step, Step::Inconclusive(reason) if !reason.contains("KEY")), "{step:?}");
    }
    assert!(is_error(br#"{"id":3,"error":{"code":-32600}}"#) && !is_error(br#"{"id":0,"result":1}"#) && !is_error(b""));
}

fn other_hash() -> Value {
    json!(format!("0x{}", "ab".repeat(32)))
}

fn each_log(answer: &mut Value, key: &str, value: &Value) {
    for log in answer["result"].as_array_mut().unwrap() {
        log[key] = value.clone();
    }
}

/// What a member of an answer may turn into: never anything that could be meant.
fn nonsense() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!(true))),
        Just(Some(json!(17))),
        Just(Some(json!({}))),
        Just(Some(json!(""))),
        Just(Some(json!("0x"))),
        Just(Some(json!("0xzz"))),
        Just(Some(json!("\u{20ac}\u{20ac}"))),
    ]
}

/// Replaces the `n`th member, or element, of those in the tree, or takes it away.
fn corrupt(value: &mut Value, n: &mut usize, with: Option<&Value>) {
    let mut done = |here: &mut Value| match n.checked_sub(1) {
        None => false,
        Some(0) => {
            *n = 0;
            if let Some(with) = with {
                *here = with.clone();
            }
            true
        }
        Some(_) => {
            *n -= 1;
            corrupt(here, n, with);
            false
        }
    };
    match value {
        Value::Object(members) => {
            let hit = members.iter_mut().find_map(|(key, here)| done(here).then(|| key.clone()));
            if let (Some(key), None) = (hit, with) {
                members.remove(&key);
            }
        }
        Value::Array(items) => {
            items.iter_mut().any(done);
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn noise_proves_nothing(answers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 40)) {
        let mut prover = Prover::new(question());
        let mut step = prover.next(None);
        for answer in &answers {
            if let Step::Ask(_) = step {
                step = prover.next(Some(answer));
            }
        }
        prop_assert!(is_open(&step));
    }

    // Half an answer is none: it is the truth that comes out, or nothing.
    #[test]
    fn a_corrupted_answer_proves_nothing_else(which in 0_usize..10, member in 1_usize..60, with in nonsense(), named: bool) {
        let node = Node::at(51_000).with(50_010, &[used(0x77), paid()]);
        let transaction = named.then(|| node.hash(0));
        let mut count = 0;
        let step = drive(Question { transaction, ..question() }, |method, params| {
            let mut answer = json!({ "result": node.answer(method, params).unwrap() });
            if count == which {
                corrupt(&mut answer, &mut { member }, with.as_ref());
            }
            count += 1;
            answer
        });
        prop_assert!(is_open(&step) || step == settled(&node, 0), "{step:?}");
    }

    // Whatever became of it, at any time, on a chain with any pace: what is proved is what happened.
    #[test]
    fn what_is_proved_is_what_happened(
        (blocks, gaps) in (2_usize..2_500, proptest::collection::vec(0_u64..20, 1..12)),
        at in proptest::option::of(any::<proptest::sample::Index>()),
        kind in 0_u8..4,
        (claimed, valid) in (0_u64..60_000, 0_u64..60_000),
        most_blocks in prop_oneof![Just(10_000_u64), Just(2_000), Just(500), Just(300)],
        named in 0_u8..3,
    ) {
        let mut time = 10_000;
        let times: Vec<u64> = gaps.iter().cycle().take(blocks).map(|gap| { time += gap; time }).collect();
        let mut node = Node { times, transactions: Vec::new(), most_blocks };
        let question = Question { claimed_at: 10_000 + claimed, valid_before: 10_000 + valid, ..question() };
        let events = match kind {
            0 => vec![canceled_event()],
            1 => vec![used(0x77), transfer(Address::ZERO, 10_000)],
            _ => vec![used(0x77), paid()],
        };
        let happened = at.map(|at| at.index(node.times.len()));
        if let Some(block) = happened {
            node = node.with(2 * u64::try_from(block).unwrap(), &events);
        }
        let expected = match happened {
            None if node.times.last().unwrap() - 60 >= question.valid_before => Proof::Expired,
            None => Proof::Unused,
            Some(_) if kind == 0 => Proof::Void { reason: evidence::CANCELED },
            Some(block) if node.times[block] + 30 < question.claimed_at => Proof::SpentBefore { transaction: node.hash(0) },
            Some(_) if kind == 1 => Proof::Void { reason: "the authorization was used without paying us" },
            Some(_) => Proof::Settled { transaction: node.hash(0) },
        };
        let transaction = match named {
            0 => None,
            1 => Some(written(B256::ZERO)),
            _ => Some(written(B256::repeat_byte(0xd0))),
        };
        prop_assert_eq!(node.ask(Question { transaction, ..question }), Step::Done(expected));
    }
}
