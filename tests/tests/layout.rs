//! A kernel that lacks a struct member loses the hooks that read it, by name, and no others.
//! Needs root.

use zcwatch::probe::{Probe, ProbeError, Settings, error::Refusal, hooks::Question};

fn without(global: &str) -> Result<Probe, ProbeError> {
    let settings = Settings { pretend_missing: vec![global.to_owned()], ..Settings::default() };
    Probe::attach(&settings)
}

#[test]
fn a_missing_member_fails_the_hooks_that_read_it_and_no_others() {
    let probe = without("DEV_MTU").expect("run this as root");
    assert!(probe.answer(Question::CopyPlace).is_none());
    let refused = probe.refusals(Question::CopyPlace);
    // Where functions are watched too, the first of them that reads it.
    assert_eq!(refused.len(), 4, "{refused:?}");
    let named = Refusal::Fields(vec!["struct net_device, member mtu".to_owned()]);
    assert!(refused.iter().all(|(_, why)| **why == named), "{refused:?}");
    for question in [Question::Send, Question::Completion, Question::HeldSockets, Question::Closed]
    {
        assert!(probe.answer(question).is_some(), "{question:?}");
    }
}

#[test]
fn an_optional_member_is_gone_without() {
    for global in ["NET_OPTMEM_MAX", "VETH_PEER", "MSG_UBUF"] {
        let probe = without(global).expect("run this as root");
        for question in Question::ALL {
            assert!(probe.answer(question).is_some(), "{question:?} without {global}");
        }
    }
}

#[test]
fn without_what_every_count_needs_nothing_is_watched_and_the_member_is_named() {
    let Err(error) = without("SERR_INFO") else { panic!("attached without ee_info") };
    let text = error.to_string();
    assert!(text.contains("struct sock_exterr_skb, member ee.ee_info"), "{text}");
}
