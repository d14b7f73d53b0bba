use super::*;
use proptest::prelude::*;

fn movement() -> Movement {
    Movement { transaction: Some("0x1".into()), evidence: Evidence::Told }
}

fn events() -> Vec<Event> {
    let reason = || "x".to_owned();
    vec![
        Event::StartSettling { until: 1, facilitator: reason() },
        Event::Paid { movement: movement(), until: 1 },
        Event::NeverSent,
        Event::Settled(movement()),
        Event::Answered(movement()),
        Event::Refused { reason: reason() },
        Event::LostTrack { reason: reason(), transaction: None, again_at: 1, lost: true },
        Event::FoundSpent { reason: reason() },
        Event::Lapse,
        Event::Release,
        Event::Serve,
        Event::StartCollecting { until: 1 },
        Event::Fail { reason: reason(), again_at: None },
        Event::Abandon,
        Event::RanInVain,
        Event::LedOn { to: reason() },
        Event::OwedThere { to: reason() },
        Event::StillOwed,
        Event::NothingRan,
        Event::TakeBack,
        Event::Reserve { by: reason(), until: 1 },
        Event::LetGo { by: reason() },
        Event::MakeGood { transaction: "0x1".into() },
    ]
}

fn standing(state: State) -> Standing {
    Standing { state, same_request: true, answered: false, lease_until: 0 }
}

#[test]
fn what_is_stored_is_read_back() {
    for state in State::ALL {
        assert_eq!(State::from_stored(state.as_str()), Some(state));
    }
    for evidence in [Evidence::Told, Evidence::Proved, Evidence::Unproven] {
        assert_eq!(Evidence::from_stored(evidence.as_str()), Some(evidence));
    }
}

#[test]
fn nothing_leads_away_from_settled() {
    for event in events() {
        let rule = event.rule();
        assert!(!rule.from.contains(&State::Settled) || matches!(rule.to, None | Some(State::Settled)), "{event:?}");
    }
}

#[test]
fn money_that_may_have_moved_is_never_released_nor_claimed_again() {
    assert_eq!(Event::Release.rule().from, [State::Claimed]);
    for state in State::ALL.into_iter().filter(|state| !matches!(state, State::Claimed | State::Released)) {
        assert!(!may_claim_again(&standing(state), u64::MAX), "{state:?}");
        assert!(
            events().iter().all(|event| !event.rule().from.contains(&state) || event.rule().to != Some(State::Claimed))
        );
    }
}

#[test]
fn a_settlement_is_recorded_wherever_the_authorization_stands() {
    let rule = Event::Settled(movement()).rule();
    assert_eq!((rule.from, rule.own_attempt_only, rule.answered), (&State::ALL[..], false, None));
}

#[test]
fn an_answer_is_released_once_and_by_the_standing_claim() {
    for event in [Event::Answered(movement()), Event::Serve] {
        let rule = event.rule();
        assert_eq!((rule.own_attempt_only, rule.answered), (true, Some(false)), "{event:?}");
    }
    for state in State::ALL {
        let answered = Standing { answered: true, ..standing(state) };
        assert!(!may_serve_owed(&answered, 1));
        assert_eq!(may_serve_owed(&standing(state), 1), state == State::Settled);
    }
}

#[test]
fn a_challenge_is_sent_only_where_no_money_can_have_moved() {
    for same_request in [true, false] {
        for state in State::ALL {
            let standing = Standing { same_request, ..standing(state) };
            let cannot = matches!(state, State::Claimed | State::Released | State::Refused);
            assert_eq!(forbids_challenge(&standing, 1).is_none(), cannot, "{state:?}");
        }
    }
}

#[test]
fn every_state_has_a_way_to_an_end() {
    let ends = [State::Settled, State::Refused, State::Spent, State::Lapsed, State::Released, State::MadeGood];
    for state in State::ALL.into_iter().filter(|state| !ends.contains(state)) {
        let leads_on = events().iter().any(|event| {
            let rule = event.rule();
            rule.from.contains(&state) && rule.to.is_some_and(|to| to != state) && !matches!(event, Event::Settled(_))
        });
        assert!(leads_on, "{state:?}");
    }
}

proptest! {
    #[test]
    fn another_request_never_gets_it(state in 0_usize..11, answered in any::<bool>(), lease in 0_u64..100, now in 0_u64..100) {
        let standing = Standing { state: State::ALL[state], same_request: false, answered, lease_until: lease };
        prop_assert!(!may_claim_again(&standing, now) && !may_serve_owed(&standing, now));
        prop_assert!(!matches!(denial(&standing, now), Denial::Owed | Denial::Unknown));
    }
}
