//! Every custom model's tokenizer, template and length: fetched in the background, kept within bounds.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};

use crate::dialect::template::Template;
use crate::policy::custom::CustomModel;
use crate::system::hugging_face::HubSettings;
use crate::tokens::hub::address::Source;
use crate::tokens::hub::fetch::Fetcher;
use crate::tokens::hub::trouble::HubError;
use crate::tokens::kit::Kit;
use crate::tokens::repository::{self, FILES, Paths, in_folder, special_tokens};
use crate::tokens::tokenizer::Tokenizer;
use crate::upstream::connect::Connector;

/// Every custom model's tokenizer, template and length; cheap to clone.
///
/// The default one knows only what a line says itself and what is built in.
#[derive(Clone, Debug, Default)]
pub struct Library(Arc<Rooms>);

#[derive(Debug, Default)]
struct Rooms {
    shelf: Mutex<Shelf>,
    /// Rings when something has been acquired, or given up.
    changed: Condvar,
    orders: Option<mpsc::UnboundedSender<Arc<CustomModel>>>,
    closing: Option<watch::Sender<bool>>,
}

impl Library {
    /// A library that fetches what is missing, on a thread of its own, over `connector`.
    ///
    /// # Errors
    /// No thread or no runtime to be had.
    pub fn start(settings: HubSettings, connector: Arc<Connector>) -> io::Result<Self> {
        let (orders, waiting) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        let library = Self(Arc::new(Rooms { orders: Some(orders), closing: Some(closing), ..Rooms::default() }));
        let rooms = Arc::downgrade(&library.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let fetcher = Fetcher::new(connector, settings);
        let closer = Closer(Weak::clone(&rooms));
        thread::Builder::new().name("library".into()).spawn(move || {
            let _closer = closer;
            runtime.block_on(acquire_all(fetcher, waiting, closed, rooms));
            runtime.shutdown_background();
        })?;
        Ok(library)
    }

    /// What is known about a model now. Never waits: what is missing is fetched in the background, once.
    pub fn kit(&self, model: &Arc<CustomModel>) -> Kit {
        let mut shelf = self.0.shelf();
        shelf.clock += 1;
        let (now, closed) = (shelf.clock, shelf.closed);
        let slot = shelf.slot(model);
        slot.used = now;
        if slot.wants() {
            slot.state = State::Pending;
            let orders = self.0.orders.as_ref().filter(|_| !closed);
            let asked = orders.is_some_and(|orders| orders.send(Arc::clone(model)).is_ok());
            if !asked {
                slot.state = State::Settled;
            }
        }
        slot.kit.clone()
    }

    /// The same, when everything that can be had is there, or when nothing is fetched any more. Waits: not for calls.
    pub fn acquire(&self, model: &Arc<CustomModel>) -> Kit {
        let kit = self.kit(model);
        let mut shelf = self.0.shelf();
        loop {
            match shelf.slots.get(&key(model)) {
                Some(slot) if matches!(slot.state, State::Pending) && !shelf.closed => {}
                Some(slot) => return slot.kit.clone(),
                None => return kit,
            }
            shelf = self.0.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Fetches what is missing of these, so that their first calls find it.
    pub fn prepare<'a>(&self, models: impl Iterator<Item = &'a Arc<CustomModel>>) {
        for model in models {
            self.kit(model);
        }
    }

    /// Tokenizers that are kept in memory now, those not counted that are built in.
    pub fn tokenizers(&self) -> usize {
        self.0.shelf().slots.values().filter(|slot| slot.bytes > 0).count()
    }

    /// Fetches nothing any more; a download that is under way is left for another time.
    pub fn finish(&self) {
        if let Some(closing) = &self.0.closing {
            let _ = closing.send(true);
        }
        self.0.close();
    }
}

/// Lets nobody wait for a thread that is gone, whatever ended it.
struct Closer(Weak<Rooms>);

impl Drop for Closer {
    fn drop(&mut self) {
        if let Some(rooms) = self.0.upgrade() {
            rooms.close();
        }
    }
}

impl Rooms {
    fn close(&self) {
        self.shelf().closed = true;
        self.changed.notify_all();
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, model: &Arc<CustomModel>, gotten: Gotten) {
        let mut shelf = self.shelf();
        shelf.put(model, gotten);
        drop(shelf);
        self.changed.notify_all();
    }
}

#[derive(Debug, Default)]
struct Shelf {
    slots: HashMap<Key, Slot>,
    /// Tokenizers in memory, by their files.
    loaded: HashMap<PathBuf, Weak<Tokenizer>>,
    clock: u64,
    /// Nothing is fetched any more.
    closed: bool,
}

/// What makes two lines the same to the library.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    name: Arc<str>,
    url: Box<str>,
    template: Option<Box<str>>,
    length: Option<u64>,
}

fn key(model: &CustomModel) -> Key {
    Key {
        name: Arc::clone(&model.name),
        url: model.model_url.clone(),
        template: model.chat_template.clone(),
        length: model.max_sequence_length,
    }
}

#[derive(Debug)]
struct Slot {
    kit: Kit,
    state: State,
    used: u64,
    /// Bytes that its tokenizer is believed to take in memory.
    bytes: u64,
    tries: u32,
}

#[derive(Debug)]
enum State {
    /// Its tokenizer was put away to make room.
    Evicted,
    /// It could not be had; not before this moment again.
    Failed(Instant),
    /// Nobody has asked for it yet.
    New,
    /// It is being fetched.
    Pending,
    /// There is nothing more to be had.
    Settled,
}

impl Slot {
    fn of(model: &CustomModel) -> Self {
        let mut kit = Kit { length: model.max_sequence_length, ..Kit::default() };
        kit.length_from = kit.length.map(|_| "the line".into());
        let mut state = State::New;
        if !model.model_url_given
            && let Some(tokenizer) = Tokenizer::built_in(&model.name)
        {
            kit.tokenizer_from = Some(format!("{}, built in", tokenizer.name()).into());
            kit.tokenizer = Some(Arc::new(tokenizer));
            state = State::Settled;
        }
        if let Some(source) = &model.chat_template {
            place_template(&mut kit, source, None);
        }
        Self { kit, state, used: 0, bytes: 0, tries: 0 }
    }

    fn wants(&self) -> bool {
        match self.state {
            State::New | State::Evicted => true,
            State::Failed(until) => Instant::now() >= until,
            State::Pending | State::Settled => false,
        }
    }
}

/// Puts the line's own template in place, with the model's special tokens where they are known.
fn place_template(kit: &mut Kit, source: &str, specials: Option<&Paths>) {
    // What is wrong with these files is told where they are read for the rest.
    let read = |at: usize| repository::document(specials.and_then(|paths| paths[at].as_deref())?).ok();
    let (tokenizer_config, map): (Option<serde_json::Value>, Option<serde_json::Value>) = (read(1), read(2));
    match Template::compile(source, &special_tokens(tokenizer_config.as_ref(), map.as_ref())) {
        Ok(template) => {
            kit.template = Some(Arc::new(template));
            kit.template_from = Some("the line".into());
        }
        Err(error) => kit.missing = Some(format!("chatTemplate of the line: {error}").into()),
    }
}

impl Shelf {
    fn slot(&mut self, model: &Arc<CustomModel>) -> &mut Slot {
        let key = key(model);
        if !self.slots.contains_key(&key) && self.slots.len() >= MOST_MODELS {
            // Lines that were replaced are asked for no more.
            let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
            oldest.map(|key| self.slots.remove(&key));
        }
        self.slots.entry(key).or_insert_with(|| Slot::of(model))
    }

    fn put(&mut self, model: &Arc<CustomModel>, gotten: Gotten) {
        let Gotten { kit, file, bytes, failed } = gotten;
        if let (Some(file), Some(tokenizer)) = (file, &kit.tokenizer) {
            self.loaded.insert(file, Arc::downgrade(tokenizer));
        }
        self.clock += 1;
        let now = self.clock;
        let slot = self.slot(model);
        slot.used = now;
        slot.kit = kit;
        slot.bytes = bytes;
        slot.tries = if failed { slot.tries.saturating_add(1) } else { 0 };
        slot.state = match failed {
            true => State::Failed(Instant::now() + FIRST_PAUSE * 2_u32.pow(slot.tries.min(MOST_DOUBLINGS) - 1)),
            false => State::Settled,
        };
        self.make_room();
        self.loaded.retain(|_, tokenizer| tokenizer.strong_count() > 0);
    }

    /// Puts the tokenizers away that were used least lately, until the rest is within the bound; one always stays.
    fn make_room(&mut self) {
        loop {
            let mut held: Vec<(&Key, &Slot)> = self.slots.iter().filter(|(_, slot)| slot.bytes > 0).collect();
            let total: u64 = held.iter().map(|(_, slot)| slot.bytes).sum();
            if total <= MOST_BYTES || held.len() < 2 {
                return;
            }
            held.sort_by_key(|(_, slot)| slot.used);
            let oldest = held[0].0.clone();
            let Some(slot) = self.slots.get_mut(&oldest) else { return };
            slot.kit.tokenizer = None;
            slot.bytes = 0;
            slot.state = State::Evicted;
        }
    }
}

/// What was acquired of a model.
struct Gotten {
    kit: Kit,
    /// The file of its tokenizer, where that was read.
    file: Option<PathBuf>,
    bytes: u64,
    /// Another try may bring more.
    failed: bool,
}

impl Gotten {
    /// Of a model whose files made the gate itself fail.
    fn broken() -> Self {
        let missing = "its files could not be read: a bug in the gate";
        Self { kit: Kit { missing: Some(missing.into()), ..Kit::default() }, file: None, bytes: 0, failed: true }
    }
}

async fn acquire_all(
    fetcher: Fetcher,
    mut waiting: mpsc::UnboundedReceiver<Arc<CustomModel>>,
    mut closed: watch::Receiver<bool>,
    rooms: Weak<Rooms>,
) {
    loop {
        let model = tokio::select! {
            model = waiting.recv() => model,
            _ = closed.wait_for(|closed| *closed) => None,
        };
        let Some(model) = model else { return };
        let gotten = tokio::select! {
            gotten = AssertUnwindSafe(acquire(&fetcher, &model, &rooms)).catch_unwind() => gotten,
            _ = closed.wait_for(|closed| *closed) => return,
        };
        let Some(rooms) = rooms.upgrade() else { return };
        // One model's files must not end the thread that fetches those of all.
        rooms.put(&model, gotten.unwrap_or_else(|_| Gotten::broken()));
    }
}

async fn acquire(fetcher: &Fetcher, model: &Arc<CustomModel>, rooms: &Weak<Rooms>) -> Gotten {
    let Slot { mut kit, .. } = Slot::of(model);
    let mut flaws: Vec<String> = kit.missing.take().map(|flaw| flaw.to_string()).into_iter().collect();
    let (paths, troubles) = find(fetcher, model).await;
    let failed = !troubles.is_empty();
    flaws.extend(troubles.iter().map(ToString::to_string));
    if let Some(source) = &model.chat_template {
        place_template(&mut kit, source, Some(&paths));
    }
    // A template of the line that cannot be used makes room for the plain form, not for one that it was to replace.
    repository::read(&paths, model.chat_template.is_some(), &mut kit, &mut flaws);
    let mut bytes = 0;
    let file = repository::tokenizer(&paths).cloned();
    match &file {
        None if !failed => flaws.push("the model has no tokenizer.json".into()),
        None => {}
        Some(file) => match load(file, rooms) {
            Ok(tokenizer) => {
                bytes = fs::metadata(file).map_or(0, |about| about.len()) * IN_MEMORY;
                kit.tokenizer = Some(tokenizer);
                kit.tokenizer_from = Some(model.model_url.as_ref().into());
            }
            Err(flaw) => flaws.push(flaw),
        },
    }
    if !flaws.is_empty() {
        let missing = flaws.join("; ");
        tracing::warn!(model = &*model.name, "{missing}");
        kit.missing = Some(missing.into());
    }
    Gotten { kit, file, bytes, failed }
}

fn load(file: &Path, rooms: &Weak<Rooms>) -> Result<Arc<Tokenizer>, String> {
    repository::size_of(file)?;
    let loaded = rooms.upgrade().and_then(|rooms| rooms.shelf().loaded.get(file).and_then(Weak::upgrade));
    match loaded {
        Some(tokenizer) => Ok(tokenizer),
        None => Tokenizer::read(file).map(Arc::new).map_err(|error| error.to_string()),
    }
}

/// The files of a model, and why some are missing that another time may bring. Whatever the hub says, what is in the
/// cache is used.
async fn find(fetcher: &Fetcher, model: &CustomModel) -> (Paths, Vec<HubError>) {
    let repository = match Source::parse(&model.model_url, fetcher.settings()) {
        Ok(Source::Folder(folder)) => return (in_folder(&folder), Vec::new()),
        Ok(Source::Repository(repository)) => repository,
        Err(error) => return (Paths::default(), vec![error]),
    };
    let (mut paths, mut troubles, mut unasked) = (Paths::default(), Vec::new(), Vec::new());
    let mut silences = 0;
    for (at, (file, limit)) in FILES.into_iter().enumerate() {
        let asks = silences < MOST_SILENCES && !troubles.iter().any(HubError::is_final);
        let found = match asks {
            true => fetcher.file(&repository, file, limit).await,
            false => Ok(fetcher.kept(&repository, file)),
        };
        match found {
            Ok(found) => paths[at] = found,
            Err(error @ HubError::Offline(_)) => unasked.push((at, error)),
            Err(error) => {
                silences += usize::from(matches!(error, HubError::Unreachable { .. }));
                troubles.push(error);
            }
        }
    }
    let of_line = (model.max_sequence_length.is_some(), model.chat_template.is_some());
    let needed = |(at, error)| repository::is_needed(at, &paths, of_line).then_some(error);
    troubles.extend(unasked.into_iter().filter_map(needed));
    (paths, troubles)
}

/// Lines that are remembered.
const MOST_MODELS: usize = 20_000;
/// What loaded tokenizers may take in memory together, by estimate.
const MOST_BYTES: u64 = 768 << 20;
/// A tokenizer takes about as many times its file's bytes (measured: 7 to 10).
const IN_MEMORY: u64 = 8;
/// A hub that does not answer is not asked for every file.
const MOST_SILENCES: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MOST_DOUBLINGS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::host::HostPort;
    use crate::policy::target::{Destination, Scheme};

    fn model(name: &str) -> CustomModel {
        let at = HostPort::parse("127.0.0.1", 80).unwrap();
        let destination = Destination { scheme: Scheme::Http, at, dialled: None, roots: None };
        CustomModel::new(name, destination, "/v1/completions".parse().unwrap())
    }

    #[test]
    fn a_line_that_says_all_needs_no_hub() {
        let library = Library::default();
        let line = CustomModel {
            max_sequence_length: Some(77),
            chat_template: Some("{{ messages[0].content }}".into()),
            ..model("gpt-4o")
        };
        let kit = library.acquire(&Arc::new(line));
        assert_eq!((kit.length, kit.template.is_some(), kit.missing), (Some(77), true, None));
        assert_eq!(kit.tokenizer_from.as_deref(), Some("o200k_base, built in"));
        let elsewhere = CustomModel { model_url_given: true, ..model("gpt-4o") };
        assert!(library.kit(&Arc::new(elsewhere)).tokenizer.is_none(), "it says where its own is");
        let broken = CustomModel { chat_template: Some("{% if %}".into()), ..model("x") };
        let kit = library.kit(&Arc::new(broken));
        assert!(kit.template.is_none() && kit.missing.unwrap().contains("chatTemplate"));
    }

    #[test]
    fn a_broken_template_of_a_line_makes_no_room_for_the_models_own() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("chat_template.jinja"), "{{ messages }}").unwrap();
        let line = CustomModel { chat_template: Some("{% if %}".into()), ..model("x") };
        let mut kit = Slot::of(&line).kit;
        repository::read(&in_folder(folder.path()), line.chat_template.is_some(), &mut kit, &mut Vec::new());
        assert!(kit.template.is_none() && kit.missing.unwrap().contains("chatTemplate of the line"));
    }

    #[test]
    fn tokenizers_beyond_the_bound_are_put_away_least_lately_used_first() {
        let mut shelf = Shelf::default();
        let models: Vec<Arc<CustomModel>> = (0..4).map(|number| Arc::new(model(&format!("m{number}")))).collect();
        for model in &models {
            let tokenizer = Tokenizer::built_in("gpt-4o").map(Arc::new);
            let kit = Kit { tokenizer, ..Kit::default() };
            shelf.put(model, Gotten { kit, file: None, bytes: MOST_BYTES / 3, failed: false });
        }
        let held = |shelf: &mut Shelf| -> Vec<bool> {
            models.iter().map(|model| shelf.slot(model).kit.tokenizer.is_some()).collect()
        };
        assert_eq!(held(&mut shelf), [false, true, true, true]);
        assert!(shelf.slot(&models[0]).wants());
        let huge = Kit { tokenizer: Tokenizer::built_in("gpt-4o").map(Arc::new), ..Kit::default() };
        shelf.put(&models[0], Gotten { kit: huge, file: None, bytes: MOST_BYTES * 2, failed: false });
        assert_eq!(held(&mut shelf).iter().filter(|held| **held).count(), 1, "one always stays");
    }

    #[test]
    fn what_could_not_be_had_is_tried_again_later_and_later() {
        let mut shelf = Shelf::default();
        let model = Arc::new(model("m"));
        let mut until = Instant::now();
        for _ in 0..20 {
            shelf.put(&model, Gotten { kit: Kit::default(), file: None, bytes: 0, failed: true });
            let State::Failed(next) = shelf.slot(&model).state else { panic!("it failed") };
            assert!(next > until && !shelf.slot(&model).wants());
            until = next;
        }
        assert!(until < Instant::now() + Duration::from_secs(3 * 3600));
    }
}
