//! The thread of the terminal: waits for keys and for news, changes the state, draws.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crossterm::event::{Event as Input, KeyEventKind, MouseButton, MouseEventKind};

use super::{
    app::{App, Clicked, Effect},
    config::Config,
    provoke,
    signals::{self, Signal},
    terminal::{self, Screen},
    theme::Looks,
    view::{self, Drawn},
    watch::{News, Wish},
    write,
};
use crate::recording::End;

/// Drawings are at least so far apart.
const LEAST: Duration = Duration::from_millis(100);
/// But what a key does is seen at once, unless keys come faster than this.
const AT_ONCE: Duration = Duration::from_millis(15);

/// SIGHUP.
const HUNG_UP: Option<u8> = Some(1);
/// SIGQUIT.
const QUIT: Option<u8> = Some(3);

/// What may happen.
enum Message {
    Input(Input),
    /// The terminal cannot be read any more.
    Deaf(io::Error),
    Signal(Signal),
    News(News),
    /// The watch's thread is gone.
    Silence,
}

impl From<Signal> for Message {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

/// How the screen was left.
#[derive(Debug)]
pub struct Left {
    /// By Ctrl-C, or because the terminal is gone, as the signal that says so.
    pub signal: Option<u8>,
    /// How the watch ended, or could not begin.
    pub end: Option<anyhow::Result<End>>,
    /// What there was to be said when there was no screen any more.
    pub said: Vec<String>,
}

impl Left {
    /// Before there was a screen.
    fn early(end: Option<anyhow::Result<End>>) -> Self {
        Self { signal: None, end, said: Vec::new() }
    }

    /// The watch detaches, which takes a moment.
    fn wait(&mut self, messages: &Receiver<Message>) {
        for message in messages {
            match message {
                Message::News(News::Said(said) | News::Command(said)) => self.said.push(said),
                Message::News(News::Over(over)) => {
                    self.end = Some(over);
                    return;
                }
                Message::Silence => return,
                _ => {}
            }
        }
    }
}

/// Shows the watch until it is left. `news` come from it, `wishes` go to it.
///
/// # Errors
/// When the terminal refuses.
pub fn run(
    config: &Config,
    looks: Looks,
    news: Receiver<News>,
    wishes: &Sender<Wish>,
) -> io::Result<Left> {
    let (to, messages) = channel();
    let for_news = to.clone();
    thread::spawn(move || {
        for one in news {
            if for_news.send(Message::News(one)).is_err() {
                return;
            }
        }
        let _ = for_news.send(Message::Silence);
    });
    // What cannot be watched is said without a screen.
    let mut end = None;
    let mut early = Vec::new();
    for message in &messages {
        match message {
            Message::News(News::Begun) => break,
            Message::News(News::Over(over)) => {
                return Ok(Left::early(Some(over)));
            }
            Message::Silence => return Ok(Left::early(None)),
            other => early.push(other),
        }
    }
    terminal::give_back_on_panic();
    let mut screen = Screen::take()?;
    let keyboard = to.clone();
    thread::spawn(move || read(&keyboard));
    thread::spawn(move || signals::listen(&to));
    let mut ui = Ui {
        app: App::new(config),
        looks,
        drawn: Drawn::default(),
        wishes,
        leaving: None,
        silent: false,
        to_say: Vec::new(),
    };
    if let Some(why) = &config.unread {
        ui.app.say(&format!("{why}: the keys and colours are the usual ones"));
    }
    for message in early {
        ui.take(message, &mut screen, &mut end)?;
    }
    let mut drawn: Option<Instant> = None;
    let mut dirty = true;
    let mut hurry = true;
    loop {
        let since = drawn.map_or(LEAST, |at| at.elapsed());
        let wait = if hurry { AT_ONCE } else { LEAST };
        let message = match (dirty, since >= wait) {
            (true, true) if terminal::is_ours() => {
                let (app, drawn_now) = (&ui.app, &mut ui.drawn);
                screen.draw(|frame| *drawn_now = view::draw(app, looks, frame))?;
                ui.app.page = ui.drawn.page;
                (drawn, dirty, hurry) = (Some(Instant::now()), false, false);
                continue;
            }
            (true, false) => messages.recv_timeout(wait.saturating_sub(since)),
            // After a panic the screen is not ours any more, and the end near.
            (_, _) => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(message) => {
                hurry |= matches!(message, Message::Input(_));
                dirty = true;
                ui.take(message, &mut screen, &mut end)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if ui.leaving.is_some() {
            break;
        }
    }
    drop(screen);
    let _ = wishes.send(Wish::Stop);
    let mut left = Left { signal: ui.leaving.flatten(), end, said: ui.to_say };
    if left.end.is_none() && !ui.silent {
        left.wait(&messages);
    }
    Ok(left)
}

fn read(to: &Sender<Message>) {
    loop {
        let message = match crossterm::event::read() {
            Ok(input) => Message::Input(input),
            Err(e) => Message::Deaf(e),
        };
        let deaf = matches!(message, Message::Deaf(_));
        if to.send(message).is_err() || deaf {
            return;
        }
    }
}

struct Ui<'a> {
    app: App,
    looks: Looks,
    drawn: Drawn,
    wishes: &'a Sender<Wish>,
    /// It is to end, perhaps by a signal.
    leaving: Option<Option<u8>>,
    /// The watch says no more.
    silent: bool,
    /// What is to be said again where there is no screen any more.
    to_say: Vec<String>,
}

impl Ui<'_> {
    fn take(
        &mut self,
        message: Message,
        screen: &mut Screen,
        end: &mut Option<anyhow::Result<End>>,
    ) -> io::Result<()> {
        match message {
            Message::Input(input) => {
                let effects = self.input(input);
                self.apply(effects, screen)?;
            }
            Message::Deaf(e) => {
                log::error!("the terminal cannot be read: {e}");
                self.leaving = Some(HUNG_UP);
            }
            Message::Signal(Signal::Gone) => self.leaving = Some(HUNG_UP),
            Message::Signal(Signal::Quit) => self.leaving = Some(QUIT),
            Message::Silence => {
                self.silent = true;
                if end.is_none() {
                    self.leaving = Some(None);
                }
            }
            Message::Signal(Signal::Stop) => self.apply(vec![Effect::Suspend], screen)?,
            Message::News(news) => self.news(news, end),
        }
        Ok(())
    }

    fn news(&mut self, news: News, end: &mut Option<anyhow::Result<End>>) {
        match news {
            News::Begun => {}
            News::Moment(moment) => self.app.show(Arc::new(*moment)),
            News::Lines(lines) => self.app.tell(lines),
            News::Said(said) => self.app.say(&said),
            News::Command(said) => {
                self.app.say(&said);
                self.to_say.push(said);
            }
            News::Over(over) => {
                // By a signal, or an error: nobody is to be kept waiting. What ended by itself
                // stays to be read.
                if over.as_ref().map_or(true, |end| end.signal.is_some()) {
                    self.leaving = Some(None);
                }
                *end = Some(over);
            }
        }
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.app.key(key.into()),
            Input::Paste(text) => self.app.paste(&text),
            Input::Mouse(mouse) => {
                match mouse.kind {
                    MouseEventKind::Down(MouseButton::Left) => {
                        if let Some(what) = self.drawn.at(mouse.column, mouse.row) {
                            self.app.click(what);
                        }
                    }
                    MouseEventKind::ScrollUp => self.app.click(Clicked::Wheel(-1)),
                    MouseEventKind::ScrollDown => self.app.click(Clicked::Wheel(1)),
                    _ => {}
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn apply(&mut self, effects: Vec<Effect>, screen: &mut Screen) -> io::Result<()> {
        for effect in effects {
            let wish = match effect {
                Effect::Quit { interrupted } => {
                    self.leaving = Some(interrupted.then_some(2));
                    continue;
                }
                Effect::Suspend => {
                    screen.lend(signals::stop)?;
                    continue;
                }
                Effect::Redraw => {
                    provoke("screen");
                    screen.redraw()?;
                    continue;
                }
                Effect::Copy(text) => {
                    screen.copy(&text)?;
                    continue;
                }
                Effect::Mouse(wanted) => {
                    screen.mouse(wanted)?;
                    continue;
                }
                Effect::Write => {
                    let said = match &self.app.scene {
                        Some(scene) => write::report(&scene.moment, self.looks.unicode),
                        None => "nothing is known yet".into(),
                    };
                    self.app.say(&said);
                    continue;
                }
                Effect::Reset => Wish::Reset,
                Effect::Take(pid) => Wish::Take(pid),
                Effect::LetGo(pid) => Wish::LetGo(pid),
                Effect::Tell(on) => Wish::Tell(on),
            };
            // A watch that is over answers no more.
            if self.wishes.send(wish).is_err() {
                self.app.say("the watch has ended");
            }
        }
        Ok(())
    }
}
