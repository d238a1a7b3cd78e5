//! What keys do to the state.

use std::collections::BTreeSet;

use crate::{
    event::{Event, What},
    output::{
        style::Style,
        trace::{Clock, Line, Options, Teller},
    },
    source::Recorded,
    tracker::Tracker,
};

use super::{
    super::{
        app::{App, Clicked, Effect, Focus, View},
        rows::{Column, Key},
        view,
    },
    PLAIN, SICK, WELL, key_of, press, screen, seen, seen_with_events, type_text,
};

fn sick() -> App {
    seen(SICK, Some(5))
}

#[test]
fn rows_are_sorted_by_each_column_both_ways() {
    let mut app = sick();
    for _ in Column::ALL {
        press(&mut app, &["s"]);
        let order: Vec<Key> = app.rows.iter().map(|row| row.key).collect();
        press(&mut app, &["r"]);
        let other: Vec<Key> = app.rows.iter().map(|row| row.key).collect();
        press(&mut app, &["r"]);
        assert_eq!(order, app.rows.iter().map(|row| row.key).collect::<Vec<_>>());
        assert_eq!(order.len(), other.len());
    }
    while app.choice.by != Column::Pid {
        press(&mut app, &["s"]);
    }
    while app.choice.by != Column::Rate {
        press(&mut app, &["s"]);
    }
    let rates: Vec<f64> = app.rows.iter().filter_map(|row| row.rate).collect();
    assert!(rates.len() > 3 && rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
}

#[test]
fn the_selected_row_stays_selected_wherever_it_goes() {
    let mut app = sick();
    press(&mut app, &["down", "down"]);
    let selected = app.selected.unwrap();
    for _ in Column::ALL {
        press(&mut app, &["s"]);
        assert_eq!(app.selected, Some(selected));
        assert!(screen(&app, (120, 40)).contains('▸'));
    }
    press(&mut app, &["end"]);
    assert_eq!(app.selected, app.rows.last().map(|row| row.key));
    press(&mut app, &["pagedown", "down", "home", "up", "pageup"]);
    assert_eq!(app.selected, app.rows.first().map(|row| row.key));
}

#[test]
fn filters_choose_by_their_key() {
    let mut app = sick();
    let all = app.rows.len();
    let mut with = |text: &str| {
        press(&mut app, &["/", "ctrl-u"]);
        type_text(&mut app, text);
        press(&mut app, &["enter"]);
        assert_eq!(app.filter_text, text);
        app.rows.len()
    };
    assert_eq!(with("proto:tcp"), 4);
    assert_eq!(with("-proto:tcp"), all - 4);
    assert_eq!(with("port:9000 cause:tap"), 4);
    assert_eq!(with("dev:eth1"), 1);
    assert_eq!(with("comm:ingest"), all);
    assert_eq!(with("198.51.100.7"), 1);
    assert_eq!(with("finding:flag-ignored"), 1);
    assert_eq!(with("pid:1"), 0);
    assert_eq!(with("no such thing"), 0);
    assert!(screen(&app, (80, 24)).contains("no socket is as the filter wants it"));
    press(&mut app, &["esc"]);
    assert_eq!((app.rows.len(), app.filter_text.as_str()), (all, ""));
}

#[test]
fn a_filter_that_means_nothing_says_so_and_changes_nothing() {
    let mut app = sick();
    let all = app.rows.len();
    press(&mut app, &["/"]);
    type_text(&mut app, "port:http");
    assert!(screen(&app, (80, 24)).contains("port:http: a port is a number up to 65535"));
    press(&mut app, &["enter"]);
    assert!(app.prompt.is_some());
    press(&mut app, &["esc"]);
    assert_eq!((app.prompt.is_none(), app.rows.len()), (true, all));
}

#[test]
fn enter_leads_to_the_cause_and_y_copies_what_helps() {
    let mut app = sick();
    press(&mut app, &["/"]);
    type_text(&mut app, "cause:tap");
    press(&mut app, &["enter", "enter"]);
    assert!(matches!(app.view, View::Socket(_)));
    let text = screen(&app, (120, 60));
    assert!(text.contains("handed to a packet socket of tcpdump"), "{text}");
    let effects = press(&mut app, &["y"]);
    let [Effect::Copy(command)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(command.starts_with("kill ") && text.contains(command.as_str()), "{command}");
    press(&mut app, &["esc"]);
    assert_eq!(app.view, View::Overview);
}

#[test]
fn where_only_words_help_nothing_is_copied() {
    let mut app = seen(WELL, Some(4));
    assert_eq!(press(&mut app, &["enter", "y"]), []);
    assert!(app.said.as_deref().is_some_and(|said| said.starts_with("no command")));
}

#[test]
fn findings_are_rows_too() {
    let mut app = sick();
    press(&mut app, &["tab"]);
    assert_eq!(app.focus, Focus::Findings);
    press(&mut app, &["down", "enter"]);
    assert_eq!(app.view, View::Finding(app.findings()[1].known()));
    press(&mut app, &["enter"]);
    assert_eq!(app.view, View::Overview);
    assert!(app.filter_text.starts_with("finding:"), "{}", app.filter_text);
}

#[test]
fn a_held_screen_stays_and_goes_on_with_what_came_meanwhile() {
    let mut app = seen(SICK, Some(2));
    press(&mut app, &["p"]);
    let held = screen(&app, (120, 40));
    assert!(held.contains("PAUSED"));
    let later = seen(SICK, Some(5)).scene.unwrap();
    app.show(later.moment);
    assert_eq!(screen(&app, (120, 40)), held);
    press(&mut app, &["p"]);
    assert_ne!(screen(&app, (120, 40)), held);
}

#[test]
fn one_row_a_process_leads_to_its_sockets() {
    let mut app = sick();
    let all = app.rows.len();
    press(&mut app, &["g"]);
    assert_eq!(app.rows.len(), 1);
    assert_eq!(app.rows[0].route, format!("{all} sockets"));
    press(&mut app, &["enter"]);
    assert_eq!((app.rows.len(), app.choice.grouped), (all, false));
}

#[test]
fn processes_are_taken_and_let_go() {
    let mut app = sick();
    let pid = app.rows[0].pid;
    assert_eq!(press(&mut app, &["d"]), [Effect::LetGo(pid)]);
    press(&mut app, &["t"]);
    type_text(&mut app, "12x");
    assert_eq!(press(&mut app, &["enter"]), []);
    assert_eq!(press(&mut app, &["backspace", "enter"]), [Effect::Take(12)]);
    assert_eq!(press(&mut app, &["z"]), [Effect::Reset]);
    let mut app = seen(SICK, None);
    assert_eq!(press(&mut app, &["z", "d", "t"]), []);
}

#[test]
fn events_are_told_only_while_they_are_seen() {
    let mut app = sick();
    assert_eq!(press(&mut app, &["e"]), [Effect::Tell(true)]);
    assert_eq!(press(&mut app, &["c"]), [Effect::Tell(false)]);
    assert_eq!(press(&mut app, &["e", "esc"]), [Effect::Tell(true), Effect::Tell(false)]);
}

#[test]
fn lines_of_events_are_filtered_by_what_they_are_about() {
    let mut app = sick();
    let of = |row: &crate::tui::rows::Row| match row.key {
        Key::Socket(id) => Some(id),
        _ => None,
    };
    let tap = app.rows.iter().find(|row| row.causes.contains(&"tap_tx")).and_then(of);
    let udp = app.rows.iter().find(|row| row.protocol == "udp").and_then(of);
    let line = |text: &str, about| Line { text: text.into(), is_send: true, about };
    app.tell(vec![
        line("send #1 copied, by tap_tx on eth0", tap),
        line("send #2 reported zero-copy", udp),
        line("host  packet socket of tcpdump (pid 7)", None),
    ]);
    press(&mut app, &["e"]);
    let mut with = |text: &str| {
        press(&mut app, &["/", "ctrl-u"]);
        type_text(&mut app, text);
        press(&mut app, &["enter"]);
        app.told().len()
    };
    assert_eq!(with(""), 3);
    assert_eq!(with("proto:udp"), 1);
    assert_eq!(with("cause:tap_tx"), 1);
    assert_eq!(with("-reported"), 2);
    assert_eq!(with("pid:7"), 1);
    assert_eq!(with("port:9000"), 1);
    press(&mut app, &["p"]);
    app.tell(vec![line("later", None)]);
    assert_eq!(app.lines.len(), 3, "held");
}

#[test]
fn the_mouse_selects_what_it_points_at() {
    let mut app = sick();
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(120, 40)).unwrap();
    let mut drawn = view::Drawn::default();
    terminal.draw(|frame| drawn = view::draw(&app, PLAIN, frame)).unwrap();
    let (area, _, _) = drawn.table.unwrap();
    let second = drawn.at(5, area.y + 1);
    assert_eq!(second, Some(Clicked::Row(1)));
    app.click(second.unwrap());
    assert_eq!(app.selected_at(), Some(1));
    assert_eq!(drawn.at(5, 1), Some(Clicked::Finding(0)));
    app.click(Clicked::Finding(0));
    assert_eq!((app.focus, app.view), (Focus::Findings, View::Overview));
    app.click(Clicked::Finding(0));
    assert_eq!(app.view, View::Finding(app.findings()[0].known()));
    assert_eq!(drawn.at(5, 39), None);
}

#[test]
fn every_key_can_be_pressed_everywhere() {
    for recording in [SICK, WELL] {
        for first in ["o", "enter", "c", "e", "?", "tab", "g", "p"] {
            let mut app = seen(recording, Some(3));
            press(&mut app, &[first]);
            for binding in super::super::keys::BINDINGS {
                for key in binding.keys {
                    app.key(key_of(key));
                    app.prompt = None;
                    let _ = screen(&app, (80, 24));
                }
            }
        }
    }
}

#[test]
fn who_opens_the_events_late_is_told_the_rest_as_who_saw_all() {
    let mut recorded = Recorded::open(SICK.as_bytes()).unwrap();
    let mut events = Vec::new();
    while let Some(event) = recorded.event().unwrap() {
        events.push(event);
    }
    let header = recorded.header().clone();
    let options = Options {
        style: Style { colour: false, unicode: true },
        clock: Clock::Relative,
        min_latency: None,
    };
    let (mut all, mut late) =
        (Teller::new(options.clone(), &header), Teller::new(options, &header));
    let (before, after) = events.split_at(events.len() / 2);
    let mut tracker = Tracker::default();
    before.iter().for_each(|e| tracker.apply(e));
    tracker.retell(before.last().unwrap().ts).iter().for_each(|e| late.take(e));
    late.lines(None);
    events.iter().for_each(|e| all.take(e));
    after.iter().for_each(|e| late.take(e));
    let sends = |lines: Vec<Line>| -> BTreeSet<String> {
        let words = |line: &Line| line.text.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.iter().filter(|line| line.is_send).map(words).collect()
    };
    let (all, late) = (sends(all.last_lines()), sends(late.last_lines()));
    let called = |e: &&Event| matches!(e.what, What::Send(_) | What::Ignored(_));
    let calls = after.iter().filter(called).count();
    let unknown: Vec<_> = late.difference(&all).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(late.len() >= calls && calls > 100, "{} of {calls}", late.len());
}

#[test]
fn the_tail_misses_nothing_while_the_screen_is_held() {
    let mut app = seen_with_events(SICK, 4);
    let all: Vec<Line> = app.lines.drain(..).collect();
    press(&mut app, &["e", "p"]);
    app.tell(all.clone());
    assert!(app.lines.is_empty());
    press(&mut app, &["p"]);
    assert!(app.lines.iter().map(|l| &l.text).eq(all.iter().map(|l| &l.text)));
}

#[test]
fn what_is_read_of_the_tail_stays_where_it_is() {
    let mut app = seen_with_events(SICK, 4);
    let new: Vec<Line> = app.lines.iter().cloned().collect();
    press(&mut app, &["e", "/"]);
    type_text(&mut app, "tap_tx");
    press(&mut app, &["enter", "pageup"]);
    let newest = |app: &App| app.told()[app.told().len() - 1 - app.scrolled].text.clone();
    let read = newest(&app);
    app.tell(new);
    assert_eq!(newest(&app), read);
}

#[test]
fn a_selected_finding_stays_selected_wherever_it_goes() {
    let mut app = sick();
    press(&mut app, &["tab", "down"]);
    let chosen = app.findings()[1].known();
    press(&mut app, &["enter"]);
    let moment = std::sync::Arc::clone(&app.scene.as_ref().unwrap().moment);
    let mut other = crate::tui::moment::Moment::clone(&moment);
    other.findings.reverse();
    app.show(std::sync::Arc::new(other));
    assert_eq!(app.view, View::Finding(chosen));
    assert_eq!(app.findings()[app.finding_at()].known(), chosen);
    assert_ne!(app.finding_at(), 1);
    press(&mut app, &["esc", "up", "down"]);
    assert_eq!(app.findings()[app.finding_at()].known(), chosen);
}

#[test]
fn a_socket_is_told_its_own_numbers() {
    let app = sick();
    for row in &app.rows {
        let Key::Socket(id) = row.key else { continue };
        for f in app.findings_of(id).iter().filter(|f| f.id == crate::diagnosis::FindingId::Copied)
        {
            let own = format!("of {} completed sends copied", row.completed);
            assert!(f.sentence.contains(&own), "{} of {row:?}", f.sentence);
        }
    }
}

#[test]
fn only_what_is_marked_is_copied() {
    let mut app = sick();
    press(&mut app, &["tab", "enter"]);
    let remedies = app.remedies();
    let command = remedies.iter().position(|r| crate::diagnosis::command_in(r).is_some()).unwrap();
    assert_eq!(app.item, command);
    assert_eq!(press(&mut app, &["y"]).len(), 1);
    let sentence = remedies.iter().position(|r| crate::diagnosis::command_in(r).is_none()).unwrap();
    let key = if sentence > command { "down" } else { "up" };
    while app.item != sentence {
        press(&mut app, &[key]);
    }
    assert_eq!(press(&mut app, &["y"]), []);
    assert!(app.said.as_ref().is_some_and(|s| s.contains("no command")), "{:?}", app.said);
}

#[test]
fn back_from_a_group_leads_to_the_groups() {
    let mut app = sick();
    press(&mut app, &["/"]);
    type_text(&mut app, "proto:tcp");
    press(&mut app, &["enter", "g", "enter"]);
    assert!(!app.choice.grouped && app.filter_text.starts_with("pid:"), "{}", app.filter_text);
    press(&mut app, &["esc"]);
    assert!(app.choice.grouped);
    assert_eq!(app.filter_text, "proto:tcp");
    // A filter that was typed meanwhile was meant.
    press(&mut app, &["enter", "/"]);
    type_text(&mut app, " copied");
    press(&mut app, &["enter", "esc"]);
    assert!(app.filter_text.is_empty() && !app.choice.grouped);
}

#[test]
fn keys_of_the_table_do_nothing_where_it_is_not_seen() {
    let mut app = sick();
    let (by, descending) = (app.choice.by, app.choice.descending);
    press(&mut app, &["e", "s", "r", "g", "x"]);
    assert_eq!((app.choice.by, app.choice.descending), (by, descending));
    assert!(!app.choice.grouped && app.choice.over);
    assert_eq!(press(&mut app, &["d"]), []);
    assert!(app.said.as_ref().is_some_and(|s| s.contains("overview")), "{:?}", app.said);
}

#[test]
fn hidden_sockets_are_counted() {
    let mut app = seen(SICK, None);
    press(&mut app, &["x"]);
    assert!(app.rows.is_empty() && app.hidden > 0);
    let text = screen(&app, (120, 40));
    assert!(text.contains("closed sockets hidden: x shows them"), "{text}");
}

#[test]
fn a_word_that_only_looks_like_a_key_is_told() {
    let wrong = |text: &str| crate::tui::filter::Filter::parse(text).unwrap_err();
    assert!(wrong("foo:bar").starts_with("foo: there is pid: comm:"));
    for address in ["fd00::1", "10.0.0.1:80", ":443", "dead:beef"] {
        assert!(crate::tui::filter::Filter::parse(address).is_ok(), "{address}");
    }
}

#[test]
fn octaves_without_a_sample_are_not_left_out_unsaid() {
    let mut app = sick();
    press(&mut app, &["enter"]);
    let before = screen(&app, (120, 40));
    assert!(!before.contains('⋮'), "{before}");
    let mut other = crate::tui::moment::Moment::clone(&app.scene.as_ref().unwrap().moment);
    for socket in &mut other.snapshot.sockets {
        socket.counts.release.record(30_000_000_000, 1);
    }
    app.show(std::sync::Arc::new(other));
    let after = screen(&app, (120, 60));
    assert_eq!(after.matches('⋮').count(), 1, "{after}");
}
