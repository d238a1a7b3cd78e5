//! Each view at each size, sick and well.

use super::{
    super::{
        app::App,
        theme::{Colours, Looks, Theme},
    },
    PLAIN, SICK, WELL, drawn, press, screen, seen, seen_with_events, text_of, type_text,
};

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

/// The screen at every size, against what it was when somebody last looked at it.
fn holds(name: &str, app: &App) {
    for (width, height) in SIZES {
        let name = format!("{name}-{width}x{height}");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, screen(app, (width, height))));
    }
}

#[test]
fn overview_of_the_sick() {
    holds("overview-sick", &seen(SICK, Some(5)));
}

#[test]
fn overview_of_the_well() {
    holds("overview-well", &seen(WELL, Some(4)));
}

#[test]
fn a_socket_of_the_sick() {
    let mut app = seen(SICK, Some(5));
    press(&mut app, &["enter"]);
    holds("socket-sick", &app);
}

#[test]
fn a_socket_of_the_well() {
    let mut app = seen(WELL, Some(4));
    press(&mut app, &["enter"]);
    holds("socket-well", &app);
}

#[test]
fn causes() {
    let mut app = seen(SICK, Some(5));
    press(&mut app, &["c"]);
    holds("causes-sick", &app);
    let mut app = seen(WELL, Some(4));
    press(&mut app, &["c"]);
    holds("causes-well", &app);
}

#[test]
fn a_finding() {
    let mut app = seen(SICK, Some(5));
    press(&mut app, &["tab", "enter"]);
    holds("finding-sick", &app);
    let mut app = seen(WELL, Some(4));
    press(&mut app, &["tab", "enter"]);
    holds("finding-well", &app);
}

#[test]
fn events() {
    for (name, recording) in [("events-sick", SICK), ("events-well", WELL)] {
        let mut app = seen_with_events(recording, 4);
        press(&mut app, &["e"]);
        holds(name, &app);
    }
    let mut app = seen_with_events(SICK, 4);
    press(&mut app, &["e", "pageup", "pageup", "up"]);
    holds("events-back", &app);
    press(&mut app, &["home"]);
    holds("events-first", &app);
}

#[test]
fn help() {
    let mut app = seen(SICK, Some(5));
    press(&mut app, &["?"]);
    holds("help", &app);
}

#[test]
fn the_end_stays_to_be_read() {
    holds("ended-sick", &seen(SICK, None));
    holds("ended-well", &seen(WELL, None));
}

#[test]
fn grouped_and_filtered() {
    let mut app = seen(SICK, Some(5));
    press(&mut app, &["g"]);
    holds("grouped-sick", &app);
    press(&mut app, &["g", "/"]);
    type_text(&mut app, "cause:tap port:9000");
    holds("filtering-sick", &app);
}

#[test]
fn before_anything_was_sent() {
    holds("nothing-yet", &seen(SICK, Some(0)));
    holds("attaching", &App::default());
}

#[test]
fn no_screen_is_too_small() {
    for recording in [SICK, WELL] {
        for keys in [&[][..], &["enter"], &["c"], &["e"], &["?"], &["tab", "enter"], &["/"]] {
            let mut app = seen(recording, Some(3));
            press(&mut app, keys);
            for size in [(1, 1), (2, 1), (1, 5), (3, 3), (12, 4), (39, 9), (240, 70), (500, 3)] {
                let _ = screen(&app, size);
            }
        }
    }
}

#[test]
fn without_utf8_everything_is_ascii_and_as_wide() {
    let looks = Looks { unicode: false, ..PLAIN };
    for keys in [&[][..], &["enter"], &["c"], &["?"]] {
        let mut app = seen(SICK, Some(5));
        press(&mut app, keys);
        for size in SIZES {
            let (plain, full) = (drawn(&app, looks, size), drawn(&app, PLAIN, size));
            let text = text_of(&plain);
            assert!(text.is_ascii(), "{text}");
            assert!(
                !text.contains('?') || keys == ["?"] || text.matches('?').count() == 1,
                "{text}"
            );
            assert_eq!(plain.content.len(), full.content.len());
        }
    }
}

#[test]
fn with_no_color_there_is_none_and_signs_carry_it() {
    let app = seen(SICK, Some(5));
    let buffer = drawn(&app, PLAIN, (120, 40));
    let coloured = |c: &ratatui::buffer::Cell| {
        (c.fg, c.bg) != (ratatui::style::Color::Reset, ratatui::style::Color::Reset)
    };
    assert!(!buffer.content.iter().any(coloured));
    let text = text_of(&buffer);
    assert!(text.contains("✖ problem") && text.contains("· note"), "{text}");
    for theme in [Theme::Dark, Theme::Light, Theme::ColourBlind] {
        for colours in [Colours::Sixteen, Colours::Many] {
            let buffer = drawn(&app, Looks { theme, colours, unicode: true }, (120, 40));
            assert!(buffer.content.iter().any(coloured));
            assert_eq!(text_of(&buffer), text, "only colours differ");
            if colours == Colours::Sixteen {
                let many = |c: &ratatui::buffer::Cell| matches!(c.fg, ratatui::style::Color::Indexed(n) if n > 15);
                assert!(!buffer.content.iter().any(many));
            }
        }
    }
}
